"""ObservePools: what is seen of each pool moves its victims, its members and what is told of them, and then the number.

What is older than `Rules.stale` moves nothing: an outage of the scheduler, the registry or a driver is no change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tercio_common.machine.protocol import Decision, Moment
from tercio_scaling.state import arrivals, membership, victims
from tercio_scaling.state.assessment import Assessment, assess, number_after, remembering
from tercio_scaling.state.budgets import Ledger
from tercio_scaling.state.change import Change
from tercio_scaling.state.commands import ObservePools
from tercio_scaling.state.events import AgentsJoined, AgentsLeft, Event, NeedRemembered, PoolForgotten
from tercio_scaling.state.membership import Fleet
from tercio_scaling.state.retention import most_events
from tercio_scaling.state.rows import EXTERNAL, EventKind, EventRow, MemoryRow, Outcome, PoolRow, VictimPhase
from tercio_scaling.state.rules import Rules
from tercio_scaling.state.sightings import PoolSeen
from tercio_scaling.state.steadiness import Memory
from tercio_scaling.state.tables import ScalingTables
from tercio_scaling.state.victims import Progress
from tercio_scaling.state.views import kept, replaced


def observe(command: ObservePools, at: Moment, tables: ScalingTables, rules: Rules) -> Decision:
    """Look at pools; those of high priority first, because several may share what there is."""
    seen = {each.pool_id: each for each in command.pools if each.is_fresh(rules.stale)}
    rows = [row for pool_id in seen if (row := tables.pools.get(pool_id)) is not None and not row.paused]
    ledger = Ledger(tables)
    found = [event for each in command.pools if each.pool_id not in seen for event in _first(each, at, tables, rules)]
    for row in sorted(rows, key=lambda row: (-row.priority, row.pool_id)):
        found += _look(row, seen[row.pool_id], at, tables, rules, ledger)
    return Decision(found)


def _first(seen: PoolSeen, at: Moment, tables: ScalingTables, rules: Rules) -> Iterator[Event]:
    """Let a new pool be driven as soon as it is known that nobody has to leave for that."""
    row, state = tables.pools.get(seen.pool_id), tables.states.get(seen.pool_id)
    if row is None or state is None or state.adopted or row.paused or not 0 <= seen.view_age <= rules.stale:
        return
    if seen.asked <= kept(row, state):
        change = Change(row, at, tables, seen=None)
        change.set(adopted=True)
        yield from change.events()


def _adopt(change: Change, seen: PoolSeen) -> bool:
    """Adopt the agents that are there already; tell whether the number changed by that.

    Those beyond the maximum, or beyond a declared target, and those that somebody else asks the driver for, leave.
    """
    row, state = change.row, change.state
    if row.driver == EXTERNAL:
        return False
    event = None
    if not state.adopted:
        change.set(adopted=True)
        there = min(seen.asked, row.pool.most)
        if there > state.decided and row.target < 0 and not row.deleting:
            event = change.decide(there, f"{there} agents were there already", rule="found")
    state = change.state
    more = victims.surplus(state, seen, kept=kept(row, state), replaced=replaced(row, state))
    if more:
        change.set(owed=state.owed + more)
    return event is not None


def _look(
    row: PoolRow, seen: PoolSeen, at: Moment, tables: ScalingTables, rules: Rules, ledger: Ledger
) -> Iterator[Event]:
    change = Change(row, at, tables, seen=seen)
    yield from _members(change, seen, tables)
    if row.deleting and _is_gone(row, seen):
        yield PoolForgotten(row.pool_id)
        return
    is_adopted = _adopt(change, seen)
    change.choose()
    if not row.deleting:
        memory = tables.memories[row.pool_id].memory
        if is_adopted:
            memory = memory._replace(changed=at.now)
        verdict = assess(change, tables, rules, ledger)
        after = _decide(change, verdict, memory, at)
        ledger.decided(row, change.state.decided)
        if is_adopted or (after.needs, after.changed) != (memory.needs, memory.changed):
            yield NeedRemembered(MemoryRow(row.pool_id, after))
        if (noted := arrivals.noting(tables.arrivals[row.pool_id], change, seen)) is not None:
            yield noted
    yield from change.events()
    yield from change.forgotten(most=most_events(tables, rules))


def _is_gone(row: PoolRow, seen: PoolSeen) -> bool:
    return row.driver == EXTERNAL or not (seen.members or seen.asked)


def _members(change: Change, seen: PoolSeen, tables: ScalingTables) -> Iterator[Event]:
    """Follow who came and who left, and how far victims and the change that is carried out are."""
    row, at, state = change.row, change.at, change.state
    known = tables.of_pools.of(row.pool_id)
    progress = victims.advanced(state, seen, at, drain_limit=row.drain_limit, kept=kept(row, state))
    gone = membership.left(row, seen, known)
    change.set(victims=progress.victims)
    fleet = membership.fleet(row, change.state, seen, at)
    came = membership.joined(fleet.ready, known, row.pool_id, at)
    startup = membership.measured(row, state, seen, came, at)
    failing = tuple(each for each in fleet.failing if each not in {victim.agent_id for victim in progress.victims})
    _tell(change, progress, gone, failing)
    change.set(startup=startup, failing=len(failing))
    if came:
        yield AgentsJoined(tuple(came))
    if gone:
        yield AgentsLeft(row.pool_id, tuple(gone))
    _end(change, fleet, tables)


def _tell(change: Change, progress: Progress, gone: Sequence[str], failing: Sequence[str]) -> None:
    """Tell of what went otherwise than it was decided."""
    if progress.overdue:
        reason = (
            f"not finished after {change.row.drain_limit} ms: they go all the same, and what they hold is done again"
        )
        change.note(EventKind.DRAIN_LIMIT_REACHED, reason, agent_ids=progress.overdue)
    chosen = {each.agent_id for each in change.state.victims} | set(progress.gone)
    others = tuple(agent_id for agent_id in gone if agent_id not in chosen)
    if progress.spared:
        reason = f"left in place of {', '.join(progress.spared)}, which stay; what they held is done again by others"
        change.note(EventKind.WRONG_AGENT_LEFT, reason, agent_ids=others)
    elif others and change.row.driver != EXTERNAL:
        change.note(EventKind.AGENT_LOST, "left without having been chosen", agent_ids=others, rule="replacement")
    if len(failing) > change.state.failing:
        reason = f"not at work after {change.row.startup_timeout} ms: as many more are asked for"
        change.note(EventKind.AGENT_LOST, reason, agent_ids=tuple(failing), rule="replacement")


def _end(change: Change, fleet: Fleet, tables: ScalingTables) -> None:
    """Tell that a change of the number was carried out, once it was."""
    state = change.state
    event = tables.events.get((state.pool_id, state.pending)) if state.pending else None
    if event is None:
        return
    up = event.kind == EventKind.SCALED_UP
    if len(fleet.ready) >= event.after if up else _has_shrunk(change, fleet, event.after):
        change.update(event.number, outcome=Outcome.DONE, ended_wall=change.at.wall)
        change.set(pending=0)


def _has_shrunk(change: Change, fleet: Fleet, agents: int) -> bool:
    """Tell whether nobody is left that is to leave; those that were never there went at once."""
    if change.row.driver == EXTERNAL:
        return len(fleet.ready) <= agents
    leaves = any(each.phase != VictimPhase.RETURNING for each in change.state.victims)
    return not (change.state.owed or leaves)


def _decide(change: Change, found: Assessment, memory: Memory, at: Moment) -> Memory:
    """Follow the verdict, and return what is remembered."""
    verdict = found.verdict
    if found.held:
        return remembering(memory, verdict.memory)
    event = change.decide(
        number_after(verdict, change.state.decided),
        verdict.reason,
        rule=verdict.rule,
        wanted=verdict.wanted,
        proposals=verdict.proposals,
        limits=verdict.limits,
        inputs=found.inputs,
    )
    if event is not None:
        return verdict.memory._replace(began=memory.began, changed=at.now)
    _refused(change, found)
    return remembering(memory, verdict.memory)


def _refused(change: Change, found: Assessment) -> EventRow | None:
    """Tell once which limits refuse all agents more that are wanted; that none leave yet is no news."""
    verdict = found.verdict
    limits = ",".join([limit.name for limit in verdict.limits])
    refused = bool(limits) and verdict.wanted > verdict.before == verdict.agents
    if not refused or limits == change.state.refused:
        return None
    change.set(refused=limits)
    return change.note(
        EventKind.REFUSED,
        f"{verdict.reason}; refused by {limits}",
        wanted=verdict.wanted,
        rule=verdict.rule,
        proposals=verdict.proposals,
        limits=verdict.limits,
        inputs=found.inputs,
    )
