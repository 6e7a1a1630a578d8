"""ReservationService: thin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from operator import attrgetter
from typing import Any, cast

import grpc

from tercio.api.resources.v1 import reservation_service_pb2 as pb
from tercio.api.resources.v1 import reservation_service_pb2_grpc as rpc
from tercio_common.cursors import decode_page, encode_page
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.machine.term import Term
from tercio_common.pages import page
from tercio_common.rpc.calls import call_of
from tercio_common.rpc.present import follow
from tercio_resources import metrics
from tercio_resources.api import shortages
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.reservation_rows import ReservationRow
from tercio_resources.state.rows import AllocationRow
from tercio_resources.state.session import Session
from tercio_resources.state.tables import ResourceTables
from tercio_resources.state.views import view
from tercio_resources.translate import reservations as to_reservations
from tercio_resources.translate.allocations import allocation_message

Context = grpc.aio.ServicerContext[Any, Any]


class ReservationServicer(rpc.ReservationServiceServicer):
    """See the contract for what each method does. Replies of mutations are bytes that the host keeps for retries."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def Reserve(self, request: pb.ReserveRequest, context: Context) -> Any:
        command, call, term = to_reservations.reserve_command(request), call_of(request, context), self._host.term

        def render(row: ReservationRow) -> bytes:
            message = to_reservations.reservation_message(row, _tables(term).by_dimension)
            return pb.ReserveResponse(reservation=message).SerializeToString()

        with shortages.detailed():
            return await self._host.execute(command, call=call, render=render)

    async def ClaimReservation(self, request: pb.ClaimReservationRequest, context: Context) -> Any:
        command, call, term = to_reservations.claim_command(request), call_of(request, context), self._host.term

        def render(row: AllocationRow) -> bytes:
            shown = allocation_message(view(row, term.moment(), term.session), _tables(term))
            return pb.ClaimReservationResponse(allocation=shown).SerializeToString()

        with shortages.detailed():
            return await self._host.execute(command, call=call, render=render)

    async def CancelReservation(self, request: pb.CancelReservationRequest, context: Context) -> Any:
        command, call = to_reservations.cancel_command(request), call_of(request, context)
        return await self._host.execute(command, call=call, render=lambda _: b"")

    async def ListReservations(
        self, request: pb.ListReservationsRequest, context: Context
    ) -> pb.ListReservationsResponse:
        size, after = to_reservations.page_size(request), int(decode_page("reservations", request.page_token) or 0)

        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.ListReservationsResponse:
            rows, units = machine.tables.reservations.values(), machine.tables.by_dimension
            found, more = page(rows, key=attrgetter("number"), after=after, size=size, selects=lambda _: True)
            return pb.ListReservationsResponse(
                reservations=[to_reservations.reservation_message(row, units) for row in found],
                next_page_token=encode_page("reservations", str(found[-1].number)) if more else "",
            )

        return await self._host.read(look)

    async def WatchReservations(
        self, request: pb.WatchReservationsRequest, context: Context
    ) -> AsyncIterator[pb.WatchReservationsResponse]:
        term = self._host.term
        tables = _tables(term)
        seen = follow(
            term,
            watches=metrics.WATCHES.labels("reservations"),
            present=lambda: {row.number: row for row in tables.reservations.values()},
            show=lambda row: to_reservations.reservation_message(row, tables.by_dimension),
        )
        async with aclosing(seen) as changes:
            async for each in changes:
                yield pb.WatchReservationsResponse(reservations=each.changed, ended_reservation_ids=each.gone)


def _tables(term: Term) -> ResourceTables:
    return cast(ResourcesMachine, term.machine).tables
