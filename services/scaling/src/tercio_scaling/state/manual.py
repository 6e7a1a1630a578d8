"""What people decide by hand: the number of agents, and a surge, which raises bounds for a while."""

from __future__ import annotations

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_scaling.state.assessment import effective
from tercio_scaling.state.budgets import Ledger
from tercio_scaling.state.change import Change
from tercio_scaling.state.commands import EndSurge, ScalePool, SurgePool
from tercio_scaling.state.decisions import Limit
from tercio_scaling.state.declaring import present, staying
from tercio_scaling.state.events import Event, NeedRemembered
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.retention import most_events
from tercio_scaling.state.rows import EventKind, EventRow, MemoryRow, SurgeRow
from tercio_scaling.state.rules import Rules
from tercio_scaling.state.session import Session
from tercio_scaling.state.tables import ScalingTables


def scale(command: ScalePool, at: Moment, tables: ScalingTables, session: Session, rules: Rules) -> Decision:
    """Decide the number by hand; answers the event, None when the number is what it was.

    Raises:
        Refusal: POOL_NOT_FOUND, POOL_DELETING, SCALING_LIMIT_REACHED.
    """
    row = staying(command.pool_id, tables)
    seen = session.fresh(row.pool_id, at.now, stale=rules.stale)
    change = Change(row, at, tables, seen=seen, principal=at.principal)
    state = change.state
    agents = command.agents if command.agents is not None else state.decided + command.change
    affordable = Ledger(tables).affordable(row, state.decided)
    if (limit := limit_of(agents, state.decided, effective(row, state), affordable)) is not None:
        message = f"{row.pool_id!r} may have {limit.agents} agents by its {limit.name} limit, not {agents}"
        raise Refusal("SCALING_LIMIT_REACHED", message, {"limit": limit.name, "agents": str(limit.agents)})
    event = change.decide(agents, command.reason, rule="manual")
    hold = at.now + command.hold if command.hold else 0
    change.set(hold_until=hold if hold > at.now or state.hold_until > at.now else state.hold_until)
    events: list[Event] = [*change.events(), *change.forgotten(most=most_events(tables, rules))]
    return Decision([*events, *_remembered(event, row.pool_id, at, tables)], event)


def limit_of(agents: int, before: int, pool: AgentPool, affordable: int | None) -> Limit | None:
    """Return what stands against that many agents; what there is already may stay."""
    if agents < pool.least:
        return Limit("minimum", pool.least)
    if agents <= before:
        return None
    ceilings = {"maximum": pool.most}
    if pool.cost_limit and pool.agent_cost:
        ceilings["cost"] = pool.cost_limit // pool.agent_cost
    if affordable is not None:
        ceilings["resources"] = affordable
    name, most = min(ceilings.items(), key=lambda each: each[1])
    return Limit(name, max(before, most)) if agents > most else None


def surge(command: SurgePool, at: Moment, tables: ScalingTables, rules: Rules) -> Decision:
    """Raise bounds of a pool for a while.

    Raises:
        Refusal: POOL_NOT_FOUND, POOL_DELETING.
    """
    row = staying(command.pool_id, tables)
    change = Change(row, at, tables, seen=None, principal=at.principal)
    raised = SurgeRow(
        most=max(row.pool.most, command.most),
        up_step=command.up_step,
        cost_limit=command.cost_limit,
        reason=command.reason,
        principal=at.principal,
        until_now=at.now + command.duration,
        until_wall=at.wall + command.duration,
    )
    change.set(surge=raised, refused="")
    limit = f"{raised.cost_limit} millionths an hour" if raised.cost_limit else "any cost"
    change.note(
        EventKind.SURGE_BEGAN,
        f"{command.reason} (up to {raised.most} agents and {limit}, for {command.duration} ms)",
        rule="manual",
    )
    return Decision([*change.events(), *change.forgotten(most=most_events(tables, rules))])


def end_surge(command: EndSurge, at: Moment, tables: ScalingTables, rules: Rules) -> Decision:
    """End a surge.

    Raises:
        Refusal: POOL_NOT_FOUND.
    """
    present(command.pool_id, tables)
    return Decision(ended(command.pool_id, at, tables, rules, principal=at.principal))


def ended(pool_id: str, at: Moment, tables: ScalingTables, rules: Rules, *, principal: str = "") -> list[Event]:
    """Return what ends a surge; nothing when there is none. Agents over the bounds leave at the next look."""
    state = tables.states[pool_id]
    if state.surge is None:
        return []
    change = Change(tables.pools[pool_id], at, tables, seen=None, principal=principal)
    change.set(surge=None, refused="")
    change.note(EventKind.SURGE_ENDED, "ended by hand" if principal else "its time is over")
    return [*change.events(), *change.forgotten(most=most_events(tables, rules))]


def due(tables: ScalingTables, at: Moment, rules: Rules) -> list[Event]:
    """Return what ends the first surge whose time is over."""
    pool_id = tables.surges.pop(at.now)
    if pool_id is None:
        return []
    tables.surges.set(pool_id, at.now + 1)  # should this be undone, it is looked at again
    return ended(pool_id, at, tables, rules)


def _remembered(event: EventRow | None, pool_id: str, at: Moment, tables: ScalingTables) -> list[Event]:
    if event is None:
        return []
    return [NeedRemembered(MemoryRow(pool_id, tables.memories[pool_id].memory._replace(changed=at.now)))]
