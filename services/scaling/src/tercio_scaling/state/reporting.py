"""ReportScaling and ReportVictims: what came of what was decided."""

from __future__ import annotations

from collections.abc import Iterable

from tercio_common.machine.protocol import Decision, Moment
from tercio_scaling.state.change import Change
from tercio_scaling.state.commands import ReportScaling, ReportVictims, VictimOutcome, VictimReport
from tercio_scaling.state.events import Event
from tercio_scaling.state.retention import most_events
from tercio_scaling.state.rows import EventKind, VictimPhase, VictimRow
from tercio_scaling.state.rules import Rules
from tercio_scaling.state.tables import ScalingTables


def scaling(command: ReportScaling, at: Moment, tables: ScalingTables, rules: Rules) -> Decision:
    """Note what came of driving a pool; of one that is no more nothing."""
    row, state = tables.pools.get(command.pool_id), tables.states.get(command.pool_id)
    if row is None or state is None:
        return Decision()
    change = Change(row, at, tables, seen=None)
    if command.failure and command.failure != state.failure:
        change.set(failure=command.failure)
        change.note(EventKind.DRIVER_FAILED, command.failure)
    elif state.failure and not command.failure:
        change.set(failure="")
        change.note(EventKind.DRIVER_RECOVERED, "the driver does what it is asked again")
    event = tables.events.get((row.pool_id, state.pending)) if state.pending else None
    if event is not None and not (command.failure or event.driven_wall) and command.seq >= state.seq:
        change.update(event.number, driven_wall=at.wall)
    return Decision([*change.events(), *change.forgotten(most=most_events(tables, rules))])


def victims(command: ReportVictims, at: Moment, tables: ScalingTables) -> Decision:
    """Note what came of cordoning."""
    events: list[Event] = []
    for pool_id in sorted({report.pool_id for report in command.reports}):
        if (row := tables.pools.get(pool_id)) is None:
            continue
        change = Change(row, at, tables, seen=None)
        reports = {each.agent_id: each for each in command.reports if each.pool_id == pool_id}
        change.set(victims=tuple(_reported(change.state.victims, reports.values())))
        events += change.events()
    return Decision(events)


def _reported(victims: Iterable[VictimRow], reports: Iterable[VictimReport]) -> Iterable[VictimRow]:
    outcomes = {each.agent_id: each.outcome for each in reports}
    for victim in victims:
        outcome = outcomes.get(victim.agent_id)
        if victim.phase == VictimPhase.CHOSEN and outcome == VictimOutcome.CORDONED:
            yield victim._replace(phase=VictimPhase.CORDONED)
        elif victim.phase == VictimPhase.CHOSEN and outcome == VictimOutcome.ABSENT:
            yield victim._replace(phase=VictimPhase.LEAVING)
        elif victim.phase != VictimPhase.RETURNING or outcome not in (VictimOutcome.RETURNED, VictimOutcome.ABSENT):
            yield victim
