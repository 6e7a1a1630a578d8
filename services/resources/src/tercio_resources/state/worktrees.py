"""Git worktrees: made ahead of time, handed out by name with a grant, cleaned before anybody else gets them.

A grant of a pool that keeps worktrees says which ones, and never more than are ready; so no two owners have one path,
and nobody is given one that is not clean. What was given back is cleaned. What was taken away, because its holder fell
silent or was told to go, is removed, and another one made under another name: whatever the former holder still writes
goes nowhere. What git did is told by commands that name the step they were about, so late and repeated ones change
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import NOTHING, Decision, Moment
from tercio_resources.state import pools
from tercio_resources.state.events import AllocationsGranted, AllocationsReleased, Event, PoolsSet
from tercio_resources.state.rows import NUMBERS_A_RECORD, Cause
from tercio_resources.state.tables import ResourceTables
from tercio_resources.state.worktree_commands import (
    CleanWorktree,
    CreateWorktreePool,
    DoubtWorktree,
    RemoveWorktree,
    SettleWorktree,
    TendWorktrees,
    WorktreeCommand,
)
from tercio_resources.state.worktree_events import (
    WorktreeEvent,
    WorktreePoolClosed,
    WorktreePoolsSet,
    WorktreeRemoved,
    WorktreesSet,
)
from tercio_resources.state.worktree_rows import MOST_WORKTREES, WorktreePoolRow, WorktreeRow, WorktreeState

_MOST_MESSAGE: Final = 500
_SPARED: Final = (
    WorktreeState.BROKEN,
    WorktreeState.PREPARING,
    WorktreeState.CLEANING,
    WorktreeState.READY,
)
"""What a pool that shrinks removes first. What is held stays until it is given back."""


def decide(command: WorktreeCommand, at: Moment, tables: ResourceTables) -> Decision:
    """Decide a command about worktrees."""
    match command:
        case CreateWorktreePool():
            return _create(command, at, tables)
        case TendWorktrees():
            return _tend(at, tables)
        case SettleWorktree():
            return _settle(command, at, tables)
        case DoubtWorktree():
            row = tables.worktrees.get((command.pool_id, command.number))
            if row is None or row.step != command.step or row.state is not WorktreeState.READY:
                return NOTHING
            return Decision([WorktreesSet((_next(row, WorktreeState.CLEANING, at),))])
        case CleanWorktree():
            return _asked(command, at, tables, from_broken=WorktreeState.PREPARING, otherwise=WorktreeState.CLEANING)
        case RemoveWorktree():
            return _asked(command, at, tables, from_broken=WorktreeState.REMOVING, otherwise=WorktreeState.REMOVING)


def apply(event: WorktreeEvent, tables: ResourceTables) -> None:
    """Change the tables."""
    match event:
        case WorktreePoolsSet():
            for pool in event.rows:
                tables.worktree_pools.put(pool)
        case WorktreePoolClosed():
            tables.worktree_pools.delete(event.pool_id)
        case WorktreesSet():
            for row in event.rows:
                pool = tables.worktree_pools[row.pool_id]
                if row.number > pool.last_number:
                    tables.worktree_pools.put(pool._replace(last_number=row.number))
                tables.worktrees.put(row)
        case WorktreeRemoved():
            tables.worktrees.delete((event.pool_id, event.number))


def followed(decision: Decision, at: Moment, tables: ResourceTables) -> Decision:
    """Add what grants and releases of a decision do to worktrees."""
    if not len(tables.worktree_pools):
        return decision
    changed: list[WorktreeRow] = []
    for event in decision.events:
        if isinstance(event, AllocationsGranted):
            changed += _handed_out(event, at, tables)
        elif isinstance(event, AllocationsReleased):
            changed += _given_back(event, at, tables)
    if not changed:
        return decision
    return decision._replace(events=[*decision.events, WorktreesSet(tuple(changed))])


def due(tables: ResourceTables) -> list[WorktreeRow]:
    """Return what something is to be done about, the most urgent first."""
    rows = [row for row in tables.worktrees.values() if row.state in _URGENCY]
    return sorted(rows, key=lambda row: (_URGENCY[row.state], row.pool_id, row.number))


_URGENCY: Final = {
    WorktreeState.CLEANING: 0,
    WorktreeState.PREPARING: 1,
    WorktreeState.REMOVING: 2,
    WorktreeState.BROKEN: 3,
}


def paths_of(allocation: int, tables: ResourceTables) -> list[str]:
    """Return the paths that an allocation holds."""
    return [tables.worktree_pools[pool_id].path(number) for pool_id, number in tables.worktree_index.held(allocation)]


def _create(command: CreateWorktreePool, at: Moment, tables: ResourceTables) -> Decision:
    pool_id = command.keeping.pool_id
    pools.check_new(pool_id, tables.pools, tables.worktree_pools)
    # A deleted pool of that name had lower numbers, so none of its paths comes back.
    keeping = command.keeping._replace(last_number=at.seq)
    pool = command.pool._replace(created_wall=at.wall)
    return Decision([PoolsSet((pool,)), WorktreePoolsSet((keeping,))], keeping, creates_work=True)


def _tend(at: Moment, tables: ResourceTables) -> Decision:
    events: list[Event] = []
    more = False
    for pool in sorted(tables.worktree_pools.values()):
        rows = sorted(row for row in tables.worktrees.values() if row.pool_id == pool.pool_id)
        row = tables.pools.get(pool.pool_id)
        if row is None and not rows:
            events.append(WorktreePoolClosed(pool.pool_id))
            continue
        kept = [each for each in rows if each.state is not WorktreeState.REMOVING]
        missing = min(row.capacity if row else 0, MOST_WORKTREES) - len(kept)
        changed = _added(pool, missing, at) if missing > 0 else _surplus(kept, -missing, at)
        more |= missing > 0
        if changed:
            events.append(WorktreesSet(tuple(changed)))
    return Decision(events, creates_work=more)


def _added(pool: WorktreePoolRow, count: int, at: Moment) -> list[WorktreeRow]:
    first = pool.last_number + 1
    return [
        WorktreeRow(pool.pool_id, number, WorktreeState.PREPARING, changed_wall=at.wall)
        for number in range(first, first + count)
    ]


def _surplus(kept: Iterable[WorktreeRow], count: int, at: Moment) -> list[WorktreeRow]:
    spare = [row for row in kept if row.state in _SPARED]
    spare.sort(key=lambda row: (_SPARED.index(row.state), -row.number))
    return [_next(row, WorktreeState.REMOVING, at) for row in spare[:count]]


def _settle(command: SettleWorktree, at: Moment, tables: ResourceTables) -> Decision:
    row = tables.worktrees.get((command.pool_id, command.number))
    if row is None or row.step != command.step:
        return NOTHING
    message = command.message[:_MOST_MESSAGE]
    match row.state:
        case WorktreeState.PREPARING | WorktreeState.BROKEN | WorktreeState.CLEANING if not message:
            return Decision([WorktreesSet((_next(row, WorktreeState.READY, at)._replace(made=True),))])
        case WorktreeState.PREPARING | WorktreeState.BROKEN:
            failed = _next(row, WorktreeState.BROKEN, at)
            return Decision([WorktreesSet((failed._replace(failures=row.failures + 1, message=message),))])
        case WorktreeState.CLEANING:
            return Decision([WorktreesSet((_next(row, WorktreeState.REMOVING, at)._replace(message=message),))])
        case WorktreeState.REMOVING if not message:
            return Decision([WorktreeRemoved(row.pool_id, row.number)])
        case WorktreeState.REMOVING:
            failed = _next(row, WorktreeState.REMOVING, at)
            return Decision([WorktreesSet((failed._replace(failures=row.failures + 1, message=message),))])
    return NOTHING


def _asked(
    command: CleanWorktree | RemoveWorktree,
    at: Moment,
    tables: ResourceTables,
    *,
    from_broken: WorktreeState,
    otherwise: WorktreeState,
) -> Decision:
    """Decide what an operator asks for; the reply is the row."""
    name = f"worktree {command.number} of pool {command.pool_id!r}"
    row = tables.worktrees.get((command.pool_id, command.number))
    if row is None:
        raise Refusal("WORKTREE_NOT_FOUND", f"there is no {name}; list them")
    wanted = from_broken if row.state in {WorktreeState.BROKEN, WorktreeState.PREPARING} else otherwise
    if row.state is wanted:
        return Decision((), row)
    if row.state in {WorktreeState.HELD, WorktreeState.REMOVING}:
        what = f"allocation {row.allocation} has" if row.state is WorktreeState.HELD else "it is being removed:"
        raise Refusal("WORKTREE_IN_USE", f"{what} {name}", {"allocation_id": str(row.allocation)})
    changed = _next(row, wanted, at)
    return Decision([WorktreesSet((changed,))], changed)


def _handed_out(event: AllocationsGranted, at: Moment, tables: ResourceTables) -> Iterator[WorktreeRow]:
    """Give the lowest numbers to the first items."""
    ready: dict[str, Sequence[int]] = {}
    for offset in range(len(event.owners)):
        lot = event.lots[event.indexes[offset]] if event.indexes else event.lots[0]
        for part in lot.parts:
            if part.pool_id not in tables.worktree_pools:
                continue
            numbers = ready.setdefault(part.pool_id, sorted(tables.worktree_index.ready(part.pool_id)))
            ready[part.pool_id] = numbers[part.amount :]
            for number in numbers[: part.amount]:
                row = _next(tables.worktrees[part.pool_id, number], WorktreeState.HELD, at)
                yield row._replace(allocation=at.seq * NUMBERS_A_RECORD + offset)


def _given_back(event: AllocationsReleased, at: Moment, tables: ResourceTables) -> Iterator[WorktreeRow]:
    then = WorktreeState.CLEANING if event.cause is Cause.RELEASED else WorktreeState.REMOVING
    for number in event.numbers:
        for key in tables.worktree_index.held(number):
            row = _next(tables.worktrees[key], then, at)
            yield row if event.cause is Cause.RELEASED else row._replace(message=_TAKEN_AWAY[event.cause])


_TAKEN_AWAY: Final = {
    Cause.EXPIRED: "its holder fell silent",
    Cause.REVOKED: "it was taken away from its holder",
}


def _next(row: WorktreeRow, state: WorktreeState, at: Moment) -> WorktreeRow:
    return row._replace(state=state, step=row.step + 1, allocation=0, failures=0, message="", changed_wall=at.wall)
