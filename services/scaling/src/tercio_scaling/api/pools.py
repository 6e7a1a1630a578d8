"""What is declared of pools and budgets, and how they are: thin. Watches are served by `watching`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from operator import attrgetter
from typing import Any

import grpc

from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio.api.scaling.v1 import scaling_service_pb2_grpc as rpc
from tercio_common.cursors import decode_page, encode_page
from tercio_common.errors import Refusal
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.pages import page
from tercio_common.rpc.calls import call_of
from tercio_scaling.api.shown import shown, shown_budget
from tercio_scaling.api.watching import watch_pools
from tercio_scaling.state.assessment import assess
from tercio_scaling.state.budgets import Ledger
from tercio_scaling.state.change import Change
from tercio_scaling.state.commands import DeleteBudget
from tercio_scaling.state.declaring import present
from tercio_scaling.state.machine import ScalingMachine
from tercio_scaling.state.proposing import proposed
from tercio_scaling.state.session import Session
from tercio_scaling.state.status import PoolStatus, status
from tercio_scaling.translate import budgets as to_budgets
from tercio_scaling.translate import manual as to_manual
from tercio_scaling.translate import pools as to_pools
from tercio_scaling.translate.events import event_message

Context = grpc.aio.ServicerContext[Any, Any]


class PoolCalls(rpc.ScalingServiceServicer):
    """See the contract for what each method does. Replies of mutations are bytes that the host keeps for retries."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def ApplyPool(self, request: pb.ApplyPoolRequest, context: Context) -> Any:
        command = to_pools.apply_command(request, self._host.machine.rules.triggers)
        call, term, pool_id = call_of(request, context), self._host.term, command.row.pool_id

        def render(created: bool) -> bytes:
            return pb.ApplyPoolResponse(pool=shown(pool_id, term), created=created).SerializeToString()

        return await self._host.execute(command, call=call, render=render)

    async def DeletePool(self, request: pb.DeletePoolRequest, context: Context) -> Any:
        command, call = to_pools.delete_command(request), call_of(request, context)
        return await self._host.execute(command, call=call, render=lambda _: b"")

    async def GetPool(self, request: pb.GetPoolRequest, context: Context) -> pb.GetPoolResponse:
        pool_id = to_pools.pool_id_of(request)

        def look(machine: ScalingMachine, session: Session, at: Moment) -> pb.GetPoolResponse:
            found = status(present(pool_id, machine.tables), at, machine.tables, session, machine.rules)
            return pb.GetPoolResponse(pool=to_pools.pool_message(found))

        return await self._host.read(look)

    async def ListPools(self, request: pb.ListPoolsRequest, context: Context) -> pb.ListPoolsResponse:
        size, selected = to_pools.listing_of(request)
        after = decode_page("agent-pools", request.page_token, request.expression)

        def look(machine: ScalingMachine, session: Session, at: Moment) -> pb.ListPoolsResponse:
            def show(row: Any) -> PoolStatus:
                return status(row, at, machine.tables, session, machine.rules)

            rows = map(show, machine.tables.pools.values())
            found, more = page(rows, key=attrgetter("row.pool_id"), after=after, size=size, selects=selected.matches)
            token = encode_page("agent-pools", found[-1].row.pool_id, request.expression) if more else ""
            return pb.ListPoolsResponse(pools=map(to_pools.pool_message, found), next_page_token=token)

        return await self._host.read(look)

    def WatchPools(self, request: pb.WatchPoolsRequest, context: Context) -> AsyncIterator[pb.WatchPoolsResponse]:
        return watch_pools(self._host)

    async def EvaluatePool(self, request: pb.EvaluatePoolRequest, context: Context) -> pb.EvaluatePoolResponse:
        pool_id, inputs = to_manual.evaluated_of(request)

        def look(machine: ScalingMachine, session: Session, at: Moment) -> pb.EvaluatePoolResponse:
            tables, rules = machine.tables, machine.rules
            row = present(pool_id, tables)
            seen = session.fresh(pool_id, at.now, stale=rules.stale)
            if seen is None and inputs is None:
                message = f"nothing fresh is known of the demand or the agents of {pool_id!r}; retry"
                raise Refusal("POOL_NOT_OBSERVED", message, retry_after_ms=1_000)
            change = Change(row, at, tables, seen=seen)
            found = assess(change, tables, rules, Ledger(tables), inputs=inputs)
            event = proposed(change, found, imagined=inputs is not None)
            return pb.EvaluatePoolResponse(event=event_message(event), changes=event.after != event.before)

        return await self._host.read(look)

    async def ApplyBudget(self, request: pb.ApplyBudgetRequest, context: Context) -> Any:
        command, call, term = to_budgets.set_command(request), call_of(request, context), self._host.term

        def render(_reply: None) -> bytes:
            return pb.ApplyBudgetResponse(budget=shown_budget(command.row.budget_id, term)).SerializeToString()

        return await self._host.execute(command, call=call, render=render)

    async def DeleteBudget(self, request: pb.DeleteBudgetRequest, context: Context) -> Any:
        command, call = DeleteBudget(to_budgets.budget_id_of(request)), call_of(request, context)
        return await self._host.execute(command, call=call, render=lambda _: b"")

    async def ListBudgets(self, request: pb.ListBudgetsRequest, context: Context) -> pb.ListBudgetsResponse:
        size, after = to_budgets.page_size(request), decode_page("agent-budgets", request.page_token)

        def look(machine: ScalingMachine, _session: Session, _at: Moment) -> pb.ListBudgetsResponse:
            rows = machine.tables.budgets.values()
            found, more = page(rows, key=attrgetter("budget_id"), after=after, size=size, selects=lambda _: True)
            return pb.ListBudgetsResponse(
                budgets=[to_budgets.budget_message(row, machine.tables) for row in found],
                next_page_token=encode_page("agent-budgets", found[-1].budget_id) if more else "",
            )

        return await self._host.read(look)
