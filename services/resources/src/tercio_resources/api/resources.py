"""ResourceService: thin. Allocate is served by `allocating`, watches by `watching`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from operator import attrgetter
from typing import Any, cast

import grpc

from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1 import resource_service_pb2_grpc as rpc
from tercio_common.cursors import decode_page, encode_page, encode_seq
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.pages import page
from tercio_common.rpc.calls import call_of
from tercio_common.rpc.fields import epoch_message
from tercio_resources.api import shortages
from tercio_resources.api.allocating import Allocating
from tercio_resources.api.watching import Watching
from tercio_resources.state import allocations, grants, pools, quotas
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.rows import AllocationRow, Shortage
from tercio_resources.state.session import Session
from tercio_resources.state.tables import ALLOCATIONS
from tercio_resources.state.views import view
from tercio_resources.translate import allocations as to_allocations
from tercio_resources.translate import past_allocations as to_past
from tercio_resources.translate import pools as to_pools
from tercio_resources.translate import quotas as to_quotas

Context = grpc.aio.ServicerContext[Any, Any]


class ResourceServicer(rpc.ResourceServiceServicer):
    """See the contract for what each method does. Replies of mutations are bytes that the host keeps for retries."""

    def __init__(self, host: Host, *, allocating: Allocating, watching: Watching) -> None:
        self._host, self._allocating, self._watching = host, allocating, watching

    async def CreatePool(self, request: pb.CreatePoolRequest, context: Context) -> Any:
        command, call = to_pools.create_command(request), call_of(request, context)
        return await self._host.execute(
            command,
            call=call,
            render=lambda shown: pb.CreatePoolResponse(pool=to_pools.pool_message(shown)).SerializeToString(),
        )

    async def UpdatePool(self, request: pb.UpdatePoolRequest, context: Context) -> Any:
        command, call = to_pools.update_command(request), call_of(request, context)
        return await self._host.execute(
            command,
            call=call,
            render=lambda shown: pb.UpdatePoolResponse(pool=to_pools.pool_message(shown)).SerializeToString(),
        )

    async def DeletePool(self, request: pb.DeletePoolRequest, context: Context) -> Any:
        command, call = to_pools.delete_command(request), call_of(request, context)
        return await self._host.execute(command, call=call, render=lambda _: b"")

    async def GetPool(self, request: pb.GetPoolRequest, context: Context) -> pb.GetPoolResponse:
        pool_id = to_pools.pool_id_of(request)

        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.GetPoolResponse:
            row = pools.present(pool_id, machine.tables.pools)
            return pb.GetPoolResponse(pool=to_pools.pool_message(machine.pool_view(row)))

        return await self._host.read(look)

    async def ListPools(self, request: pb.ListPoolsRequest, context: Context) -> pb.ListPoolsResponse:
        size, selected = to_pools.listing_of(request)
        after = decode_page("pools", request.page_token, request.expression)

        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.ListPoolsResponse:
            shown = map(machine.pool_view, machine.tables.pools.values())
            found, more = page(shown, key=attrgetter("row.pool_id"), after=after, size=size, selects=selected.matches)
            token = encode_page("pools", found[-1].row.pool_id, request.expression) if more else ""
            return pb.ListPoolsResponse(pools=map(to_pools.pool_message, found), next_page_token=token)

        return await self._host.read(look)

    def WatchPools(self, request: pb.WatchPoolsRequest, context: Context) -> AsyncIterator[pb.WatchPoolsResponse]:
        return self._watching.pools()

    async def CheckAllocation(self, request: pb.CheckAllocationRequest, context: Context) -> pb.CheckAllocationResponse:
        spec, owner = to_allocations.check_of(request)

        def look(machine: ResourcesMachine, session: Session, at: Moment) -> pb.CheckAllocationResponse:
            grants.check_units(spec, machine.tables.by_dimension)
            outcome = grants.Ledger(machine.tables, session, machine.rules, at).take(owner, spec)
            short = isinstance(outcome, Shortage)
            gaps = to_allocations.gap_messages(outcome.gaps) if isinstance(outcome, Shortage) else ()
            return pb.CheckAllocationResponse(fits=not short, gaps=gaps)

        return await self._host.read(look)

    async def Allocate(self, request: pb.AllocateRequest, context: Context) -> Any:
        asked, call = to_allocations.asked_of(request), call_of(request, context)
        return await self._allocating.serve(asked, call, self._host.term, time_left=context.time_remaining())

    async def Renew(self, request: pb.RenewRequest, context: Context) -> pb.RenewResponse:
        owners = to_allocations.owners_of(request)

        def look(machine: ResourcesMachine, session: Session, at: Moment) -> pb.RenewResponse:
            session.renew(owners, at.now)
            unknown = machine.tables.holdings.unknown(owners)
            return pb.RenewResponse(unknown_owners=unknown, epoch=epoch_message(at.epoch))

        return await self._host.read(look)

    async def Release(self, request: pb.ReleaseRequest, context: Context) -> Any:
        command, call = to_allocations.release_command(request), call_of(request, context)
        return await self._host.execute(command, call=call, render=_render_released)

    async def Transfer(self, request: pb.TransferRequest, context: Context) -> Any:
        command, call = to_allocations.transfer_command(request), call_of(request, context)
        term = self._host.term

        def render(rows: list[AllocationRow]) -> bytes:
            at, machine = term.moment(), cast(ResourcesMachine, term.machine)
            shown = [to_allocations.allocation_message(view(row, at, term.session), machine.tables) for row in rows]
            return pb.TransferResponse(allocations=shown).SerializeToString()

        return await self._host.execute(command, call=call, render=render)

    async def Resize(self, request: pb.ResizeRequest, context: Context) -> Any:
        command, call, term = to_allocations.resize_command(request), call_of(request, context), self._host.term

        def render(row: AllocationRow) -> bytes:
            tables = cast(ResourcesMachine, term.machine).tables
            shown = to_allocations.allocation_message(view(row, term.moment(), term.session), tables)
            return pb.ResizeResponse(allocation=shown).SerializeToString()

        with shortages.detailed():
            return await self._host.execute(command, call=call, render=render)

    async def GetAllocation(self, request: pb.GetAllocationRequest, context: Context) -> pb.GetAllocationResponse:
        def look(machine: ResourcesMachine, session: Session, at: Moment) -> pb.GetAllocationResponse:
            shown = view(allocations.present(request.allocation_id, machine.tables.allocations), at, session)
            return pb.GetAllocationResponse(allocation=to_allocations.allocation_message(shown, machine.tables))

        return await self._host.read(look)

    async def ListAllocations(self, request: pb.ListAllocationsRequest, context: Context) -> pb.ListAllocationsResponse:
        size, selected = to_allocations.listing_of(request)
        after = int(decode_page("allocations", request.page_token, request.expression) or 0)

        def look(machine: ResourcesMachine, session: Session, at: Moment) -> pb.ListAllocationsResponse:
            rows = machine.tables.allocations.values()
            found, more = page(rows, key=attrgetter("number"), after=after, size=size, selects=selected.matches)
            return pb.ListAllocationsResponse(
                allocations=[
                    to_allocations.allocation_message(view(row, at, session), machine.tables) for row in found
                ],
                next_page_token=encode_page("allocations", str(found[-1].number), request.expression) if more else "",
                # The state that is read has every record before the next one.
                cursor="" if request.page_token else encode_seq(ALLOCATIONS, at.seq - 1),
            )

        return await self._host.read(look)

    async def ListAllocationHistory(
        self, request: pb.ListAllocationHistoryRequest, context: Context
    ) -> pb.ListAllocationHistoryResponse:
        size, selected = to_past.listing_of(request)
        after = int(decode_page("past-allocations", request.page_token, request.expression) or -(2**63))

        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.ListAllocationHistoryResponse:
            rows, units = machine.tables.past_allocations.values(), machine.tables.by_dimension
            found, more = page(rows, key=lambda row: -row.number, after=after, size=size, selects=selected.matches)
            token = encode_page("past-allocations", str(-found[-1].number), request.expression) if more else ""
            return pb.ListAllocationHistoryResponse(
                allocations=[to_past.past_message(row, units) for row in found], next_page_token=token
            )

        return await self._host.read(look)

    def WatchAllocations(
        self, request: pb.WatchAllocationsRequest, context: Context
    ) -> AsyncIterator[pb.WatchAllocationsResponse]:
        return self._watching.allocations(request.cursor, to_allocations.watch_filter(request))

    async def SetQuota(self, request: pb.SetQuotaRequest, context: Context) -> Any:
        command, call = to_quotas.set_command(request), call_of(request, context)
        tables = self._host.machine.tables
        return await self._host.execute(
            command,
            call=call,
            render=lambda row: pb.SetQuotaResponse(quota=to_quotas.quota_message(row, tables)).SerializeToString(),
        )

    async def DeleteQuota(self, request: pb.DeleteQuotaRequest, context: Context) -> Any:
        command, call = to_quotas.delete_command(request), call_of(request, context)
        return await self._host.execute(command, call=call, render=lambda _: b"")

    async def GetQuota(self, request: pb.GetQuotaRequest, context: Context) -> pb.GetQuotaResponse:
        tenant = to_quotas.tenant_asked(request)

        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.GetQuotaResponse:
            row = quotas.present(tenant, machine.tables.quotas)
            return pb.GetQuotaResponse(quota=to_quotas.quota_message(row, machine.tables))

        return await self._host.read(look)

    async def ListQuotas(self, request: pb.ListQuotasRequest, context: Context) -> pb.ListQuotasResponse:
        size, after = to_quotas.page_size(request), decode_page("quotas", request.page_token)

        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.ListQuotasResponse:
            rows = machine.tables.quotas.values()
            found, more = page(rows, key=attrgetter("tenant"), after=after, size=size, selects=lambda _: True)
            return pb.ListQuotasResponse(
                quotas=[to_quotas.quota_message(row, machine.tables) for row in found],
                next_page_token=encode_page("quotas", found[-1].tenant) if more else "",
            )

        return await self._host.read(look)


def _render_released(released: allocations.Released) -> bytes:
    return pb.ReleaseResponse(
        released_count=released.released, unknown_allocation_ids=released.unknown
    ).SerializeToString()
