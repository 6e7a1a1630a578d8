"""ApplyPool and DeletePool: what is declared, and what becomes of the number by it."""

from __future__ import annotations

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_scaling.state import arrivals, budgets
from tercio_scaling.state.change import Change
from tercio_scaling.state.commands import ApplyPool, DeletePool
from tercio_scaling.state.events import ArrivalsNoted, Event, NeedRemembered, PoolApplied, PoolForgotten
from tercio_scaling.state.retention import most_events
from tercio_scaling.state.rows import EXTERNAL, EventKind, MemoryRow, PoolRow
from tercio_scaling.state.rules import Rules
from tercio_scaling.state.session import Session
from tercio_scaling.state.steadiness import Memory
from tercio_scaling.state.tables import ScalingTables


def present(pool_id: str, tables: ScalingTables) -> PoolRow:
    """Return a pool.

    Raises:
        Refusal: POOL_NOT_FOUND.
    """
    row = tables.pools.get(pool_id)
    if row is None:
        raise Refusal("POOL_NOT_FOUND", f"there is no agent pool {pool_id!r}; list them")
    return row


def staying(pool_id: str, tables: ScalingTables) -> PoolRow:
    """Return a pool that is not being deleted.

    Raises:
        Refusal: POOL_NOT_FOUND, POOL_DELETING.
    """
    row = present(pool_id, tables)
    if row.deleting:
        raise Refusal("POOL_DELETING", f"{pool_id!r} is being deleted; wait until it is gone, or use another")
    return row


def apply_pool(command: ApplyPool, at: Moment, tables: ScalingTables, session: Session, rules: Rules) -> Decision:
    """Create a pool, or replace what is declared; answers whether it is new.

    Raises:
        Refusal: POOL_CHANGED, POOL_DELETING, BUDGET_NOT_FOUND, QUEUE_FULL.
    """
    given = command.row
    before = tables.pools.get(given.pool_id)
    _check_revision(command.revision, before, given.pool_id)
    if before is not None:
        staying(given.pool_id, tables)
    elif len(tables.pools) >= rules.max_pools:
        raise Refusal("QUEUE_FULL", f"there are {rules.max_pools} agent pools already; delete one first")
    if given.budget_id:
        budgets.present(given.budget_id, tables)
    if before is not None and _declared(before) == _declared(given):
        return Decision((), False)
    row = given._replace(
        revision=at.seq, created_wall=before.created_wall if before else at.wall, updated_wall=at.wall, deleting=False
    )
    seen = session.fresh(row.pool_id, at.now, stale=rules.stale)
    change = Change(row, at, tables, seen=seen, principal=at.principal)
    events: list[Event] = [PoolApplied(row)]
    if before is None:
        events.append(ArrivalsNoted(row.pool_id, (), arrivals.begun(row.pool_id, at).until, 1, 0))
    if before is not None and (before.driver, before.spec) != (row.driver, row.spec):
        change.set(adopted=False)
    change.note(EventKind.APPLIED, "created" if before is None else "what is declared of it changed")
    if _decide(change, before) or before is None:
        memory = tables.memories[row.pool_id].memory if before is not None else Memory()
        events.append(NeedRemembered(MemoryRow(row.pool_id, memory._replace(changed=at.now))))
    events += [*change.events(), *change.forgotten(most=most_events(tables, rules))]
    return Decision(events, before is None, creates_work=before is None)


def delete_pool(command: DeletePool, at: Moment, tables: ScalingTables, session: Session, rules: Rules) -> Decision:
    """Let the agents of a pool leave, or forget it at once.

    Raises:
        Refusal: POOL_NOT_FOUND, POOL_CHANGED.
    """
    row = present(command.pool_id, tables)
    _check_revision(command.revision, row, row.pool_id)
    if command.keep_agents or row.driver == EXTERNAL:
        return Decision([PoolForgotten(row.pool_id)])
    if row.deleting:
        return Decision()
    row = row._replace(deleting=True, paused=False)
    seen = session.fresh(row.pool_id, at.now, stale=rules.stale)
    change = Change(row, at, tables, seen=seen, principal=at.principal)
    change.note(EventKind.DELETING, "its agents leave")
    change.set(surge=None, hold_until=0)
    change.decide(0, "the pool is deleted", rule="delete")
    return Decision([PoolApplied(row), *change.events(), *change.forgotten(most=most_events(tables, rules))])


def _decide(change: Change, before: PoolRow | None) -> bool:
    """Bring the number into the bounds, or to the target if that is new; tell whether it changed."""
    row, decided = change.row, change.state.decided
    pool = row.pool
    wanted, rule, reason = decided, "", ""
    if row.target >= 0 and (before is None or before.target != row.target):
        wanted, rule, reason = row.target, "target", f"{row.target} agents are declared"
    agents = max(pool.least, min(pool.most, wanted))
    if agents != wanted or not rule:
        rule = "minimum" if agents > wanted else "maximum"
        reason = f"{agents} agents are {'always there' if agents > wanted else 'never exceeded'}"
    return change.decide(agents, reason, rule=rule) is not None


def _declared(row: PoolRow) -> PoolRow:
    return row._replace(revision=0, created_wall=0, updated_wall=0, deleting=False)


def _check_revision(revision: int, row: PoolRow | None, pool_id: str) -> None:
    if revision and (row is None or row.revision != revision):
        raise Refusal("POOL_CHANGED", f"{pool_id!r} is not what the etag says any more; read it, and apply to that")
