"""Hears of providers' refusals: what one agent was told with a 429 stops the others at once, whatever they have leased.

It is only the quicker way. Who does not hear of a freeze is leased nothing while it lasts, and finds out at the latest
when what it has is spent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import grpc

from tercio.api.resources.v1 import budget_service_pb2 as pb
from tercio.rpc.backoff import Backoff, is_retryable
from tercio.rpc.channels import FOLLOW_LEADER, Reconnect
from tercio.rpc.remote import Remote
from tercio.rpc.status import error_of

if TYPE_CHECKING:
    from tercio.api.resources.v1.budget_service_pb2_grpc import BudgetServiceAsyncStub

_RESUMABLE: Final = frozenset({"READER_TOO_SLOW", "NOT_LEADER"})


class FreezeWatch:
    """Follows every budget, and tells which ones are frozen: the refused account, and all below it."""

    def __init__(self, remote: Remote[BudgetServiceAsyncStub], frozen: Callable[[str, int], None]) -> None:
        """Call `frozen` with a budget and for how many ms nothing of it may be spent."""
        self._remote = remote
        self._frozen = frozen
        self._parents: dict[str, str] = {}

    async def run(self) -> None:
        """Follow until cancelled, or until the service refuses for good."""
        reconnect = Reconnect(self._remote.route, Backoff())
        while True:
            tried, error = self._remote.route.address, None
            try:
                await self._follow(reconnect)
            except grpc.RpcError as failure:
                error = error_of(failure)
            if error is not None and not is_retryable(error) and error.reason not in _RESUMABLE:
                return
            await reconnect.wait(error, tried=tried)

    async def _follow(self, reconnect: Reconnect) -> None:
        call = self._remote.stub().WatchBudgets(pb.WatchBudgetsRequest(), metadata=FOLLOW_LEADER)
        try:
            async for response in call:
                reconnect.succeeded()
                self._take(response)
        finally:
            call.cancel()  # nothing else ends a call that is left early

    def _take(self, response: pb.WatchBudgetsResponse) -> None:
        self._parents.update((each.budget_id, each.parent_id) for each in response.budgets)
        for deleted in response.deleted_budget_ids:
            self._parents.pop(deleted, None)
        frozen = {each.budget_id: each.frozen_for.ToMilliseconds() for each in response.budgets}
        for budget_id in self._parents:
            if duration_ms := frozen.get(self._account_of(budget_id), 0):
                self._frozen(budget_id, duration_ms)

    def _account_of(self, budget_id: str) -> str:
        while parent_id := self._parents.get(budget_id, ""):
            budget_id = parent_id
        return budget_id
