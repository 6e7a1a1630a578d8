"""What would be decided of a pool: its bounds with any surge, what is seen of it, and the verdict on that.

A dry run asks the same as a decision, so that it tells the truth.
"""

from __future__ import annotations

from typing import NamedTuple

from tercio_scaling.state import arrivals, membership
from tercio_scaling.state.budgets import Ledger
from tercio_scaling.state.change import Change
from tercio_scaling.state.decisions import Verdict, evaluate
from tercio_scaling.state.membership import Fleet
from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.rows import PoolRow, StateRow
from tercio_scaling.state.rules import Rules
from tercio_scaling.state.sightings import PoolSeen
from tercio_scaling.state.steadiness import Memory
from tercio_scaling.state.tables import ScalingTables
from tercio_scaling.state.views import replaced


class Assessment(NamedTuple):
    """A verdict and what it was drawn from; while a manual change holds it is `held`, and changes nothing."""

    verdict: Verdict
    inputs: Observation
    held: bool = False


def assess(
    change: Change, tables: ScalingTables, rules: Rules, ledger: Ledger, *, inputs: Observation | None = None
) -> Assessment:
    """Judge what is seen of a pool, or `inputs` in place of it. Something fresh must be seen of it, or be given."""
    row, state, at, seen = change.row, change.state, change.at, change.seen
    pool = effective(row, state)
    watched = seen.watched if seen is not None else 0
    memory = tables.memories[row.pool_id].memory._replace(began=at.now - watched)
    if inputs is None:
        if seen is None:
            raise ValueError("only what is seen is judged")
        found = membership.fleet(row, state, seen, at)
        foreseen = arrivals.foreseen(tables.arrivals[row.pool_id], pool, seen)
        inputs = observation(row, state, seen, found, foreseen=foreseen)
    affordable = ledger.affordable(row, state.decided)
    verdict = evaluate(pool, inputs, memory, at.now, affordable=affordable, triggers=rules.triggers)
    return Assessment(verdict, inputs, at.now < state.hold_until)


def number_after(verdict: Verdict, decided: int) -> int:
    """Return the number that follows from a verdict: those that were lost are replaced without another one."""
    if verdict.agents > verdict.before:
        return max(decided, verdict.agents)
    return decided if verdict.agents == verdict.before else min(decided, verdict.agents)


def effective(row: PoolRow, state: StateRow) -> AgentPool:
    """Return what counts of a pool at present."""
    pool, surge = row.pool, state.surge
    if state.startup:
        pool = pool._replace(startup=state.startup)
    if surge is not None:
        pool = pool._replace(
            most=max(pool.most, surge.most),
            up_step=max(pool.up_step, surge.up_step or surge.most or pool.most),
            cost_limit=surge.cost_limit,
        )
    return pool


def observation(row: PoolRow, state: StateRow, seen: PoolSeen, fleet: Fleet, *, foreseen: int) -> Observation:
    """Return what a verdict is drawn from; whoever the number counts and nobody sees is starting."""
    ready = min(len(fleet.ready), state.decided)
    lost = max(0, min(state.failing - replaced(row, state), state.decided - ready))
    demand = seen.demand
    return Observation(
        waiting=demand.waiting,
        oldest_wait=demand.oldest_wait,
        running=fleet.held,
        mean_run=demand.mean_run,
        response=demand.response,
        response_before=demand.response_before,
        ready=ready,
        starting=state.decided - ready - lost,
        leaving=fleet.leaving,
        failed=lost,
        foreseen=foreseen,
    )


def remembering(before: Memory, after: Memory) -> Memory:
    """Return the memory with the needs of a verdict that changed nothing."""
    return before._replace(needs=after.needs)
