"""Events and rows of git worktrees as protobuf."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import Message

from tercio_resources.records.v1 import events_pb2 as records
from tercio_resources.records.v1 import worktrees_pb2 as worktrees
from tercio_resources.state import worktree_events as events
from tercio_resources.state.tables import WORKTREE_POOLS, WORKTREES
from tercio_resources.state.worktree_rows import WorktreePoolRow, WorktreeRow, WorktreeState


def _pool_record(row: WorktreePoolRow) -> worktrees.WorktreePoolRow:
    return worktrees.WorktreePoolRow(
        pool_id=row.pool_id,
        repository=row.repository,
        folder=row.folder,
        ref=row.ref,
        last_number=row.last_number,
    )


def _pool(record: worktrees.WorktreePoolRow) -> WorktreePoolRow:
    return WorktreePoolRow(record.pool_id, record.repository, record.folder, record.ref, record.last_number)


def _worktree_record(row: WorktreeRow) -> worktrees.WorktreeRow:
    return worktrees.WorktreeRow(
        pool_id=row.pool_id,
        number=row.number,
        state=int(row.state),
        step=row.step,
        allocation_number=row.allocation,
        failure_count=row.failures,
        message=row.message,
        changed_wall_ms=row.changed_wall,
        made=row.made,
    )


def _worktree(record: worktrees.WorktreeRow) -> WorktreeRow:
    return WorktreeRow(
        pool_id=record.pool_id,
        number=record.number,
        state=WorktreeState(record.state),
        step=record.step,
        allocation=record.allocation_number,
        failures=record.failure_count,
        message=record.message,
        changed_wall=record.changed_wall_ms,
        made=record.made,
    )


def names(fact: worktrees.WorktreePoolsSet | worktrees.WorktreesSet | worktrees.WorktreeRemoved) -> Iterator[str]:
    """Give what an event is about, as auditors name it."""
    if isinstance(fact, worktrees.WorktreePoolsSet):
        yield from (f"pools/{pool.pool_id}" for pool in fact.worktree_pools)
    else:
        rows = fact.worktrees if isinstance(fact, worktrees.WorktreesSet) else (fact,)
        yield from (f"worktrees/{row.pool_id}-{row.number}" for row in rows)


ENCODERS: dict[type[Any], Callable[[Any], records.Event]] = {
    events.WorktreePoolsSet: lambda e: records.Event(
        worktree_pools_set=worktrees.WorktreePoolsSet(worktree_pools=map(_pool_record, e.rows))
    ),
    events.WorktreePoolClosed: lambda e: records.Event(
        worktree_pool_closed=worktrees.WorktreePoolClosed(pool_id=e.pool_id)
    ),
    events.WorktreesSet: lambda e: records.Event(
        worktrees_set=worktrees.WorktreesSet(worktrees=map(_worktree_record, e.rows))
    ),
    events.WorktreeRemoved: lambda e: records.Event(
        worktree_removed=worktrees.WorktreeRemoved(pool_id=e.pool_id, number=e.number)
    ),
}

DECODERS: dict[str, Callable[[Any], events.WorktreeEvent]] = {
    "worktree_pools_set": lambda r: events.WorktreePoolsSet(tuple(map(_pool, r.worktree_pools))),
    "worktree_pool_closed": lambda r: events.WorktreePoolClosed(r.pool_id),
    "worktrees_set": lambda r: events.WorktreesSet(tuple(map(_worktree, r.worktrees))),
    "worktree_removed": lambda r: events.WorktreeRemoved(r.pool_id, r.number),
}

ROW_ENCODERS: dict[str, Callable[[Any], Message]] = {WORKTREE_POOLS: _pool_record, WORKTREES: _worktree_record}

ROW_DECODERS: dict[str, Callable[[bytes], WorktreePoolRow | WorktreeRow]] = {
    WORKTREE_POOLS: lambda data: _pool(worktrees.WorktreePoolRow.FromString(data)),
    WORKTREES: lambda data: _worktree(worktrees.WorktreeRow.FromString(data)),
}
