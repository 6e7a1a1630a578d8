"""CoordinateScaling: several pools at once, so that together they stay within what they share.

Room that is short is shared by priority: higher ones first, equal ones by turns. Pools that give agents back come
first, because that makes room. Nothing is decided unless all of it could be planned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Final, NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_scaling.state.assessment import assess, effective
from tercio_scaling.state.budgets import Ledger, Used
from tercio_scaling.state.change import Change
from tercio_scaling.state.commands import CoordinateScaling, Wish
from tercio_scaling.state.decisions import Limit
from tercio_scaling.state.declaring import staying
from tercio_scaling.state.events import Event, NeedRemembered
from tercio_scaling.state.manual import limit_of
from tercio_scaling.state.retention import most_events
from tercio_scaling.state.rows import EventRow, Impact, MemoryRow
from tercio_scaling.state.rules import Rules
from tercio_scaling.state.session import Session
from tercio_scaling.state.tables import ScalingTables
from tercio_scaling.state.triggers.protocol import Proposal

_TURNS: Final = 64
"""A pool gets what it asks for in at most about so many turns: fair to 1/64 of it, and bounded work."""


class Requirement(NamedTuple):
    """What one pool needs, and by which words of triggers; `observed`: what is seen of it is fresh."""

    pool_id: str
    before: int
    required: int
    proposals: tuple[Proposal, ...]
    observed: bool


class Step(NamedTuple):
    """What becomes of one pool, and what kept it from what is required."""

    pool_id: str
    before: int
    after: int
    required: int
    limits: tuple[Limit, ...]


class BudgetImpact(NamedTuple):
    """What becomes of one budget."""

    budget_id: str
    before: Used
    after: Used


class Plan(NamedTuple):
    """What would be done, in the order in which it is done.

    Attributes:
        requirements: in the order of the wishes.
        strategy: `all` when there is room for everybody, else `priority`.
        steps: downwards first.
        impacts: of each step.
        budgets: of each budget that a pool names, by id.
    """

    requirements: tuple[Requirement, ...]
    strategy: str
    steps: tuple[Step, ...]
    impacts: tuple[Impact, ...]
    budgets: tuple[BudgetImpact, ...]


class Coordinated(NamedTuple):
    """What was planned, and what was decided of it; `scaling_id` names it."""

    scaling_id: str
    plan: Plan
    events: tuple[EventRow, ...]


def coordinate(
    command: CoordinateScaling, at: Moment, tables: ScalingTables, session: Session, rules: Rules
) -> Decision:
    """Plan, and decide what is planned; answers `Coordinated`.

    Raises:
        Refusal: POOL_NOT_FOUND, POOL_DELETING, SCALING_COORDINATION_EXCEPTION.
    """
    plan = planned(command.wishes, at, tables, session, rules)
    scaling_id = f"scaling-{at.epoch}-{at.seq}"
    events: list[Event] = []
    told: list[EventRow] = []
    with _phase("execute"):
        for step in plan.steps:
            change = _change(step.pool_id, at, tables, session, rules)
            reason = command.reason
            fields = {"wanted": step.required, "limits": step.limits, "scaling_id": scaling_id}
            event = change.decide(step.after, reason, rule="coordinated", **fields)
            if event is None:
                continue
            told.append(event)
            memory = tables.memories[step.pool_id].memory._replace(changed=at.now)
            events += [*change.events(), *change.forgotten(most=most_events(tables, rules))]
            events.append(NeedRemembered(MemoryRow(step.pool_id, memory)))
    return Decision(events, Coordinated(scaling_id, plan, tuple(told)))


def planned(wishes: Sequence[Wish], at: Moment, tables: ScalingTables, session: Session, rules: Rules) -> Plan:
    """Return what would be done, and change nothing.

    Raises:
        Refusal: POOL_NOT_FOUND, POOL_DELETING, SCALING_COORDINATION_EXCEPTION.
    """
    changes = {wish.pool_id: _change(wish.pool_id, at, tables, session, rules) for wish in wishes}
    with _phase("analyze"):
        needs = tuple([_requirement(wish, changes[wish.pool_id], tables, rules) for wish in wishes])
    with _phase("develop"):
        steps = tuple(_steps(needs, changes, tables))
    with _phase("assess"):
        impacts = tuple([changes[step.pool_id].impact(step.before, step.after) for step in steps])
        shared = tuple(_budget_impacts(steps, changes, tables))
    short = any(limit.name == "resources" for step in steps for limit in step.limits)
    return Plan(needs, "priority" if short else "all", steps, impacts, shared)


@contextmanager
def _phase(name: str) -> Iterator[None]:
    """Tell in which phase something failed that nobody expected, such as an added trigger."""
    try:
        yield
    except Refusal:
        raise
    except Exception as error:
        message = f"failed to {name} it: {type(error).__name__}: {error}; nothing was decided, scale pool by pool"
        raise Refusal("SCALING_COORDINATION_EXCEPTION", message, {"phase": name}) from error


def _change(pool_id: str, at: Moment, tables: ScalingTables, session: Session, rules: Rules) -> Change:
    seen = session.fresh(pool_id, at.now, stale=rules.stale)
    return Change(staying(pool_id, tables), at, tables, seen=seen, principal=at.principal)


def _requirement(wish: Wish, change: Change, tables: ScalingTables, rules: Rules) -> Requirement:
    before, observed = change.state.decided, change.seen is not None
    if not observed:
        return Requirement(wish.pool_id, before, before if wish.agents is None else wish.agents, (), observed)
    verdict = assess(change, tables, rules, Ledger(tables)).verdict
    required = verdict.wanted if wish.agents is None else wish.agents
    return Requirement(wish.pool_id, before, required, verdict.proposals, observed)


def _steps(needs: Sequence[Requirement], changes: dict[str, Change], tables: ScalingTables) -> Iterator[Step]:
    ledger = Ledger(tables)
    for need in needs:
        if need.required <= need.before:
            pool = effective(changes[need.pool_id].row, changes[need.pool_id].state)
            after = min(need.before, max(need.required, pool.least))
            ledger.decided(changes[need.pool_id].row, after)
            limits = (Limit("minimum", after),) if after > need.required else ()
            yield Step(need.pool_id, need.before, after, need.required, limits)
    ups = [need for need in needs if need.required > need.before]
    ups.sort(key=lambda need: -changes[need.pool_id].row.priority)
    for _, group in groupby(ups, key=lambda need: changes[need.pool_id].row.priority):
        yield from _shared(list(group), changes, ledger)


def _shared(needs: Sequence[Requirement], changes: dict[str, Change], ledger: Ledger) -> Iterator[Step]:
    """Give room to pools of one priority by turns."""
    after = {need.pool_id: need.before for need in needs}
    limits: dict[str, Limit] = {}
    while open_ := [each for each in needs if each.pool_id not in limits and after[each.pool_id] < each.required]:
        for need in open_:
            change, has = changes[need.pool_id], after[need.pool_id]
            portion = max(1, (need.required - need.before) // _TURNS)
            asked = min(need.required, has + portion)
            affordable = ledger.affordable(change.row, has)
            limit = limit_of(asked, has, effective(change.row, change.state), affordable)
            if limit is not None:
                asked = max(has, limit.agents)
                limits[need.pool_id] = Limit(limit.name, asked)
            after[need.pool_id] = asked
            ledger.decided(change.row, asked)
    for need in needs:
        found = (limits[need.pool_id],) if need.pool_id in limits else ()
        yield Step(need.pool_id, need.before, after[need.pool_id], need.required, found)


def _budget_impacts(steps: Sequence[Step], changes: dict[str, Change], tables: ScalingTables) -> Iterator[BudgetImpact]:
    before, after = Ledger(tables), Ledger(tables)
    for step in steps:
        after.decided(changes[step.pool_id].row, step.after)
    for budget_id in sorted({changes[step.pool_id].row.budget_id for step in steps} - {""}):
        yield BudgetImpact(budget_id, before.used(budget_id), after.used(budget_id))
