"""CoordinateScaling: several pools at once, and how long each phase of that took."""

from __future__ import annotations

from typing import Any

from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio_common.machine.calls import Call
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.rpc.fields import duration
from tercio_scaling.api.settling import Settling
from tercio_scaling.state.coordination import Coordinated, Plan, planned
from tercio_scaling.state.machine import ScalingMachine
from tercio_scaling.state.rows import Outcome
from tercio_scaling.state.session import Session
from tercio_scaling.state.status import status
from tercio_scaling.state.tables import ScalingTables
from tercio_scaling.translate import coordination as to_coordination
from tercio_scaling.translate.manual import Coordinating


async def coordinate(
    host: Host, asked: Coordinating, call: Call, settling: Settling, *, time_left: float | None
) -> pb.CoordinateScalingResponse:
    """Plan, decide unless it is only tried, wait, and look what came of it.

    Raises:
        Refusal: POOL_NOT_FOUND, POOL_DELETING, SCALING_COORDINATION_EXCEPTION.
    """
    began = host.clock.boot_ms()
    wishes = asked.command.wishes

    def plan(machine: ScalingMachine, session: Session, at: Moment) -> pb.CoordinateScalingResponse:
        found = planned(wishes, at, machine.tables, session, machine.rules)
        return _response(found, Coordinated("", found, ()), is_dry=True)

    if asked.is_dry:
        response = await host.read(plan)
    else:
        reply = await host.execute(asked.command, call=call, render=_rendered)
        response = pb.CoordinateScalingResponse.FromString(reply)
    executed = host.clock.boot_ms()
    events = [tuple(each.event_id.rpartition("/")[::2]) for each in response.scaling_execution.events]
    if asked.wait and events:
        keys = [(str(pool_id), int(number)) for pool_id, number in events]
        await settling.until(lambda tables: _are_over(tables, keys), wait=asked.wait, time_left=time_left)
    pool_ids = [each.pool_id for each in response.scaling_strategy.steps]
    response.scaling_validation.CopyFrom(await host.read(lambda *now: _validation(pool_ids, *now)))
    ended = host.clock.boot_ms()
    response.scaling_duration.CopyFrom(duration(ended - began))
    response.phase_times.extend(
        to_coordination.phase_times((("execute", executed - began), ("validate", ended - executed)))
    )
    return response


def _rendered(found: Coordinated) -> bytes:
    return _response(found.plan, found, is_dry=False).SerializeToString()


def _response(plan: Plan, found: Coordinated, *, is_dry: bool) -> pb.CoordinateScalingResponse:
    return pb.CoordinateScalingResponse(
        scaling_id=found.scaling_id,
        scaling_analysis=to_coordination.analysis_message(plan),
        scaling_strategy=to_coordination.strategy_message(plan),
        impact_assessment=to_coordination.impact_assessment_message(plan),
        scaling_execution=to_coordination.execution_message(found.events, is_dry=is_dry),
    )


def _are_over(tables: ScalingTables, keys: list[tuple[str, int]]) -> bool:
    events = [tables.events.get(key) for key in keys]
    return all(event is None or event.outcome != Outcome.PENDING for event in events)


def _validation(pool_ids: list[str], machine: ScalingMachine, session: Session, at: Moment) -> Any:
    tables = machine.tables
    rows = [row for pool_id in pool_ids if (row := tables.pools.get(pool_id)) is not None]
    shown = {row.pool_id: status(row, at, tables, session, machine.rules) for row in rows}
    return to_coordination.validation_message(pool_ids, shown)
