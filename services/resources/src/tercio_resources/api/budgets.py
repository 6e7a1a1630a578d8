"""BudgetService: thin. Who waits for a turn is noted here, before it is decided whose turn it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from operator import attrgetter
from typing import Any, cast

import grpc

from tercio.api.resources.v1 import budget_service_pb2 as pb
from tercio.api.resources.v1 import budget_service_pb2_grpc as rpc
from tercio_common.cursors import decode_page, encode_page
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.machine.term import Term
from tercio_common.pages import page
from tercio_common.rpc.calls import call_of
from tercio_common.rpc.present import follow
from tercio_resources import metrics
from tercio_resources.state import budgets
from tercio_resources.state.budget_commands import LeaseBlocks
from tercio_resources.state.budgets import BudgetView
from tercio_resources.state.demands import Outcome
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.session import Session
from tercio_resources.translate import budgets as to_budgets

Context = grpc.aio.ServicerContext[Any, Any]


class BudgetServicer(rpc.BudgetServiceServicer):
    """See the contract for what each method does. Replies of mutations are bytes that the host keeps for retries."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def CreateBudget(self, request: pb.CreateBudgetRequest, context: Context) -> Any:
        command, call = to_budgets.create_command(request), call_of(request, context)
        return await self._host.execute(
            command,
            call=call,
            render=lambda shown: pb.CreateBudgetResponse(budget=to_budgets.budget_message(shown)).SerializeToString(),
        )

    async def UpdateBudget(self, request: pb.UpdateBudgetRequest, context: Context) -> Any:
        command, call = to_budgets.update_command(request), call_of(request, context)
        return await self._host.execute(
            command,
            call=call,
            render=lambda shown: pb.UpdateBudgetResponse(budget=to_budgets.budget_message(shown)).SerializeToString(),
        )

    async def DeleteBudget(self, request: pb.DeleteBudgetRequest, context: Context) -> Any:
        command, call = to_budgets.delete_command(request), call_of(request, context)
        return await self._host.execute(command, call=call, render=lambda _: b"")

    async def GetBudget(self, request: pb.GetBudgetRequest, context: Context) -> pb.GetBudgetResponse:
        budget_id = to_budgets.budget_id_of(request)

        def look(machine: ResourcesMachine, _session: Session, at: Moment) -> pb.GetBudgetResponse:
            row = budgets.present(budget_id, machine.tables.budgets)
            return pb.GetBudgetResponse(budget=to_budgets.budget_message(budgets.view(row, machine.tables, at)))

        return await self._host.read(look)

    async def ListBudgets(self, request: pb.ListBudgetsRequest, context: Context) -> pb.ListBudgetsResponse:
        size, after = to_budgets.page_size(request), decode_page("budgets", request.page_token)

        def look(machine: ResourcesMachine, _session: Session, at: Moment) -> pb.ListBudgetsResponse:
            rows = machine.tables.budgets.values()
            found, more = page(rows, key=attrgetter("budget_id"), after=after, size=size, selects=lambda _: True)
            return pb.ListBudgetsResponse(
                budgets=[to_budgets.budget_message(budgets.view(row, machine.tables, at)) for row in found],
                next_page_token=encode_page("budgets", found[-1].budget_id) if more else "",
            )

        return await self._host.read(look)

    async def WatchBudgets(
        self, request: pb.WatchBudgetsRequest, context: Context
    ) -> AsyncIterator[pb.WatchBudgetsResponse]:
        term = self._host.term
        tables = _machine(term).tables
        seen = follow(
            term,
            watches=metrics.WATCHES.labels("budgets"),
            present=lambda: {row.budget_id: row for row in tables.budgets.values()},
            show=lambda row: to_budgets.budget_message(budgets.view(row, tables, term.moment())),
        )
        async with aclosing(seen) as changes:
            async for each in changes:
                yield pb.WatchBudgetsResponse(budgets=each.changed, deleted_budget_ids=each.gone)

    async def LeaseBlocks(self, request: pb.LeaseBlocksRequest, context: Context) -> Any:
        command, call, term = to_budgets.lease_command(request), call_of(request, context), self._host.term

        def render(outcomes: list[Outcome]) -> bytes:
            _note(command, outcomes, term)
            return to_budgets.lease_response(outcomes).SerializeToString()

        return await self._host.execute(command, call=call, render=render)

    async def ReturnBlocks(self, request: pb.ReturnBlocksRequest, context: Context) -> Any:
        command, call = to_budgets.return_command(request), call_of(request, context)
        return await self._host.execute(command, call=call, render=lambda _: b"")

    async def ReportThrottled(self, request: pb.ReportThrottledRequest, context: Context) -> Any:
        command, call = to_budgets.throttled_command(request), call_of(request, context)

        def render(shown: BudgetView) -> bytes:
            return pb.ReportThrottledResponse(account=to_budgets.budget_message(shown)).SerializeToString()

        return await self._host.execute(command, call=call, render=render)


def _note(command: LeaseBlocks, outcomes: list[Outcome], term: Term) -> None:
    """Let who was refused keep its place; who was served leaves the line."""
    tables, now, session = _machine(term).tables, term.moment().now, cast(Session, term.session)
    for ask, outcome in zip(command.asks, outcomes, strict=True):
        account = budgets.account_of(ask.budget_id, tables)
        session.demands.follow(account.budget_id, command.holder, ask, outcome, now)
        metrics.LEASES.labels(outcome.reason or "granted").inc()


def _machine(term: Term) -> ResourcesMachine:
    return cast(ResourcesMachine, term.machine)
