"""ScalingService: thin. What is declared and how it is is served by `pools`, coordination by `coordinating`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio_common.cursors import decode_page, encode_page, encode_seq
from tercio_common.errors import Refusal
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.pages import page
from tercio_common.rpc.calls import call_of
from tercio_scaling.api.coordinating import coordinate
from tercio_scaling.api.pools import PoolCalls
from tercio_scaling.api.settling import Settling
from tercio_scaling.api.shown import shown, statuses
from tercio_scaling.api.watching import watch_events
from tercio_scaling.state.commands import EndSurge
from tercio_scaling.state.declaring import present
from tercio_scaling.state.foresight import foresight
from tercio_scaling.state.machine import ScalingMachine
from tercio_scaling.state.performance import performance
from tercio_scaling.state.rows import EventKind, EventRow, Outcome
from tercio_scaling.state.session import Session
from tercio_scaling.state.status import status
from tercio_scaling.state.tables import EVENTS, ScalingTables
from tercio_scaling.translate import events as to_events
from tercio_scaling.translate import forecasts as to_forecasts
from tercio_scaling.translate import manual as to_manual
from tercio_scaling.translate import pools as to_pools

Context = grpc.aio.ServicerContext[Any, Any]


class ScalingServicer(PoolCalls):
    """See the contract for what each method does."""

    def __init__(self, host: Host, *, settling: Settling) -> None:
        super().__init__(host)
        self._settling = settling

    async def ScalePool(self, request: pb.ScalePoolRequest, context: Context) -> Any:
        scaled, call, term = to_manual.scaled_of(request), call_of(request, context), self._host.term
        pool_id = scaled.command.pool_id

        def render(event: EventRow | None) -> bytes:
            told = to_events.event_message(event) if event is not None else None
            leaving = event.impact.victims if event is not None and event.impact is not None else ()
            response = pb.ScalePoolResponse(pool=shown(pool_id, term), event=told, agent_ids=leaving)
            return response.SerializeToString()

        reply = await self._host.execute(scaled.command, call=call, render=render)
        event_id = pb.ScalePoolResponse.FromString(reply).event.event_id
        if not (scaled.wait and event_id):
            return reply
        number = int(event_id.rpartition("/")[2])
        await self._settling.until(
            lambda tables: _is_over(tables, pool_id, number), wait=scaled.wait, time_left=context.time_remaining()
        )
        return await self._host.read(
            lambda machine, session, at: _scaled(pool_id, number, machine, session, at) or reply
        )

    async def SurgePool(self, request: pb.SurgePoolRequest, context: Context) -> Any:
        command, call, term = to_manual.surge_command(request), call_of(request, context), self._host.term

        def render(_reply: None) -> bytes:
            return pb.SurgePoolResponse(pool=shown(command.pool_id, term)).SerializeToString()

        return await self._host.execute(command, call=call, render=render)

    async def EndSurge(self, request: pb.EndSurgeRequest, context: Context) -> Any:
        pool_id, call, term = to_pools.pool_id_of(request), call_of(request, context), self._host.term

        def render(_reply: None) -> bytes:
            return pb.EndSurgeResponse(pool=shown(pool_id, term)).SerializeToString()

        return await self._host.execute(EndSurge(pool_id), call=call, render=render)

    async def CoordinateScaling(self, request: pb.CoordinateScalingRequest, context: Context) -> Any:
        asked = to_manual.coordinating_of(request)
        return await coordinate(
            self._host, asked, call_of(request, context), self._settling, time_left=context.time_remaining()
        )

    async def ListScalingEvents(
        self, request: pb.ListScalingEventsRequest, context: Context
    ) -> pb.ListScalingEventsResponse:
        size, selected = to_events.listing_of(request)
        after = _place_of(decode_page(EVENTS, request.page_token, request.expression))

        def look(machine: ScalingMachine, _session: Session, at: Moment) -> pb.ListScalingEventsResponse:
            rows = machine.tables.events.values()
            found, more = page(rows, key=_place, after=after, size=size, selects=selected.matches)
            return pb.ListScalingEventsResponse(
                events=map(to_events.event_message, found),
                next_page_token=encode_page(EVENTS, _place_text(found[-1]), request.expression) if more else "",
                # The state that is read has every record before the next one.
                cursor="" if request.page_token else encode_seq(EVENTS, at.seq - 1),
            )

        return await self._host.read(look)

    def WatchScalingEvents(
        self, request: pb.WatchScalingEventsRequest, context: Context
    ) -> AsyncIterator[pb.WatchScalingEventsResponse]:
        return watch_events(self._host, request.cursor, to_events.watch_filter(request))

    async def GetForecast(self, request: pb.GetForecastRequest, context: Context) -> pb.GetForecastResponse:
        pool_id, intervals = to_forecasts.asked_of(request)

        def look(machine: ScalingMachine, session: Session, at: Moment) -> pb.GetForecastResponse:
            row = present(pool_id, machine.tables)
            found = foresight(row, at, machine.tables, session, intervals=intervals)
            return pb.GetForecastResponse(forecast=to_forecasts.forecast_message(found))

        return await self._host.read(look)

    async def GetScalingMetrics(
        self, request: pb.GetScalingMetricsRequest, context: Context
    ) -> pb.GetScalingMetricsResponse:
        pool_id, term = to_forecasts.measured_of(request), self._host.term

        def look(machine: ScalingMachine, _session: Session, _at: Moment) -> pb.GetScalingMetricsResponse:
            if pool_id:
                present(pool_id, machine.tables)
            found = [each for each in statuses(term) if pool_id in ("", each.row.pool_id)]
            measured = [to_forecasts.metrics_message(performance(each, machine.tables)) for each in found]
            return pb.GetScalingMetricsResponse(metrics=measured)

        return await self._host.read(look)


def _is_over(tables: ScalingTables, pool_id: str, number: int) -> bool:
    event = tables.events.get((pool_id, number))
    return event is None or event.outcome != Outcome.PENDING


def _scaled(
    pool_id: str, number: int, machine: ScalingMachine, session: Session, at: Moment
) -> pb.ScalePoolResponse | None:
    """Return what became of a change; None when nothing is known of it any more."""
    tables = machine.tables
    row, event = tables.pools.get(pool_id), tables.events.get((pool_id, number))
    if row is None or event is None:
        return None
    if event.kind == EventKind.SCALED_UP:
        agents = [each.agent_id for each in tables.of_pools.of(pool_id).values() if each.ready_wall > event.wall]
    else:
        agents = list(event.impact.victims) if event.impact is not None else []
    pool = to_pools.pool_message(status(row, at, tables, session, machine.rules))
    return pb.ScalePoolResponse(pool=pool, event=to_events.event_message(event), agent_ids=sorted(agents))


def _place(row: EventRow) -> tuple[int, str, int]:
    """Return where an event stands in a list, the newest first."""
    return (-row.wall, row.pool_id, -row.number)


def _place_text(row: EventRow) -> str:
    return f"{row.wall}/{row.number}/{row.pool_id}"


def _place_of(text: str) -> tuple[int, str, int]:
    """Return the place that a page token names; before every event when there is none.

    Raises:
        Refusal: CURSOR_INVALID.
    """
    if not text:
        return (-(1 << 63), "", 0)
    try:
        wall, number, pool_id = text.split("/", 2)
        return (-int(wall), pool_id, -int(number))
    except ValueError as error:
        raise Refusal("CURSOR_INVALID", "the page token was not made by this service; list again") from error
