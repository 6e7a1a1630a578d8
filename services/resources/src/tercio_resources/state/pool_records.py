"""What became of what was granted of each pool: what strategies learn from.

An allocation failed when its holder was lost: its lease ended before it was released. What was revoked says nothing
about the pool.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from tercio_common.machine.table import Table
from tercio_resources.state.events import AllocationsGranted
from tercio_resources.state.rows import NUMBERS_A_RECORD, AllocationRow, Cause, PoolRecordRow

_MEMORY: Final = 16
"""Lately is over about so many allocations."""


def note_grants(event: AllocationsGranted, seq: int, records: Table[PoolRecordRow]) -> None:
    """Note whose turn it was: each pool has the number of its last allocation."""
    first = seq * NUMBERS_A_RECORD
    last = (
        {index: offset for offset, index in enumerate(event.indexes)} if event.indexes else {0: len(event.owners) - 1}
    )
    turns = dict[str, int]()
    for index, offset in last.items():
        for part in event.lots[index].parts:
            turns[part.pool_id] = max(first + offset, turns.get(part.pool_id, 0))
    for pool_id, turn in turns.items():
        records.put(of(pool_id, records)._replace(turn=turn))


def note_ends(rows: Iterable[AllocationRow], cause: Cause, records: Table[PoolRecordRow]) -> None:
    """Note how allocations ended."""
    if cause is Cause.REVOKED:
        return
    counts = Counter(part.pool_id for row in rows for part in row.lot.parts)
    for pool_id, count in counts.items():
        before, failed = of(pool_id, records), count if cause is Cause.EXPIRED else 0
        failing = (before.failing * _MEMORY + 1_000 * failed) // (_MEMORY + count)
        records.put(before._replace(ended=before.ended + count, failed=before.failed + failed, failing=failing))


def of(pool_id: str, records: Table[PoolRecordRow]) -> PoolRecordRow:
    """Return the record of a pool."""
    return records.get(pool_id) or PoolRecordRow(pool_id)
