"""How a pool is, as readers are shown it: what was decided, beside what is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_scaling.state import arrivals, membership
from tercio_scaling.state.assessment import effective, observation
from tercio_scaling.state.observations import Observation
from tercio_scaling.state.rows import EXTERNAL, PoolRow, StateRow, VictimPhase, VictimRow
from tercio_scaling.state.rules import Rules
from tercio_scaling.state.session import Session
from tercio_scaling.state.sightings import PoolSeen
from tercio_scaling.state.tables import ScalingTables


class Condition(NamedTuple):
    """One thing that may be said of a pool."""

    name: str
    holds: bool
    message: str


class PoolStatus(NamedTuple):
    """A pool as shown.

    Attributes:
        observation: what was seen last; None while nothing was. It may be stale: see the condition `Observed`.
        observed_wall: when, in wall time in ms.
        ready: agents that take work and are to stay.
        starting: agents that are asked for and do not take work yet.
        leaving: agents that are cordoned, drain, or are told to go.
        victims: those that were chosen.
        hold_until_wall: until when a manual change holds, in wall time in ms; 0 when none does.
    """

    row: PoolRow
    state: StateRow
    conditions: tuple[Condition, ...]
    observation: Observation | None = None
    observed_wall: int = 0
    ready: int = 0
    starting: int = 0
    leaving: int = 0
    victims: tuple[VictimRow, ...] = ()
    hold_until_wall: int = 0


def status(row: PoolRow, at: Moment, tables: ScalingTables, session: Session, rules: Rules) -> PoolStatus:
    """Show a pool at that moment."""
    state, seen = tables.states[row.pool_id], session.seen(row.pool_id, at.now)
    held = at.now < state.hold_until
    shown = PoolStatus(
        row,
        state,
        tuple(_conditions(row, state, seen, rules, held=held)),
        victims=tuple([each for each in state.victims if each.phase != VictimPhase.RETURNING]),
        hold_until_wall=state.hold_until + at.wall - at.now if held else 0,
    )
    if seen is None or min(seen.demand_age, seen.agents_age, seen.view_age) < 0:
        return shown
    found = membership.fleet(row, state, seen, at)
    foreseen = arrivals.foreseen(tables.arrivals[row.pool_id], effective(row, state), seen)
    inputs = observation(row, state, seen, found, foreseen=foreseen)
    return shown._replace(
        observation=inputs,
        observed_wall=at.wall - max(seen.demand_age, seen.agents_age, seen.view_age),
        ready=len(found.ready),
        starting=max(0, state.decided - len(found.ready)),
        leaving=max(found.leaving, len(shown.victims)),
    )


def _conditions(
    row: PoolRow, state: StateRow, seen: PoolSeen | None, rules: Rules, *, held: bool
) -> Iterator[Condition]:
    stale = _stale(seen, rules)
    yield Condition("Observed", not stale, f"{stale}: nothing is changed" if stale else "")
    if row.driver != EXTERNAL:
        yield Condition("Driven", not state.failure, state.failure)
    yield Condition("Limited", bool(state.refused), f"refused by {state.refused}" if state.refused else "")
    if state.surge is not None:
        yield Condition("Surging", True, state.surge.reason)
    if held:
        yield Condition("Held", True, "a manual change holds: triggers change nothing")
    if row.paused:
        yield Condition("Paused", True, "nothing is decided, and nothing changed")


def _stale(seen: PoolSeen | None, rules: Rules) -> str:
    """Return what is not known freshly; empty when all is."""
    if seen is None:
        return "nothing is seen yet"
    parts = {"the scheduler": seen.demand_age, "the registry": seen.agents_age, "the driver": seen.view_age}
    late = [name for name, age in parts.items() if not 0 <= age <= rules.stale]
    return f"no fresh word of {' and '.join(late)}" if late else ""
