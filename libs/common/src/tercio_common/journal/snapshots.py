"""Snapshots and truncation, so that the journal does not grow for ever.

A snapshot starts when the journal since the last one exceeds max(64 MB, last snapshot), so writing snapshots costs at
most about as much as writing the journal. It is a walk over shared partitions in slices of 2 ms, paced to a quarter of
the time and of the commit bandwidth. Its pointer is swapped only after the last record that it holds is committed, and
after the mutations of all that it covers are in the audit trail. Older segments are deleted in slices, after a while in
which raw tails can still read them, and compacted.

While the store does not answer, each step is repeated: a slow one costs no leadership.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tercio_common.journal.pacing import Pace, insist
from tercio_common.journal.port import SnapshotId, SnapshotPointer
from tercio_common.machine.tables_codec import encode_row
from tercio_common.records.v1 import record_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tercio_common.machine.term import Term

_CHUNK_BYTES = 448 * 1024
_ROWS_PER_LOOK = 64
_ROW_FRAMING = 4  # bytes of tag and length
_CHECK_MS = 250
T = TypeVar("T")


class _Covered(NamedTuple):
    """Segments that need not be kept much longer."""

    segment: int
    until_boot_ms: int
    until_written: int


class Snapshotter:
    """Takes the snapshots of one leadership."""

    def __init__(
        self,
        term: Term,
        *,
        threshold_bytes: int,
        last_bytes: int,
        uncovered_bytes: int,
        tail_ms: int,
        tail_bytes: int,
    ) -> None:
        """Start with the size of the last snapshot and of the journal since.

        Covered segments stay for `tail_ms`, or until `tail_bytes` more were written.
        """
        self._term = term
        self._threshold_bytes = threshold_bytes
        self._last_bytes = last_bytes
        self._covered_bytes = -uncovered_bytes
        self._tail_ms, self._tail_bytes = tail_ms, tail_bytes
        self._covered: _Covered | None = None
        self.taken = 0

    async def run(self) -> None:
        """Take a snapshot whenever one is due, for ever; begin with what former leaders left behind."""
        await self._insist(partial(self._term.journal.delete_orphans, epoch=self._term.epoch))
        self._cover(self._term.committer.last_segment)
        while True:
            await self._term.clock.sleep_ms(_CHECK_MS)
            if self._is_tail_over():
                await self._truncate()
            if self._term.audit.is_full(self._term.tip.now):
                await self._term.audit.trim(self._term.tip.now)
            if self._term.committer.written_bytes - self._covered_bytes > max(self._threshold_bytes, self._last_bytes):
                await self.take()

    async def take(self) -> SnapshotPointer:
        """Write a snapshot of the tip and put it into force; what it covers is deleted by `run`."""
        term = self._term
        at, segment = term.tip, term.committer.last_segment
        written = term.committer.written_bytes
        tables = {name: table.share() for name, table in term.machine.tables.tables.items()}
        identity = SnapshotId(term.epoch, at.seq)
        count = size = 0
        pace = Pace(term.clock)
        async for chunk in self._chunks(tables, pace):
            await self._insist(partial(term.journal.write_chunk, identity, count, chunk, epoch=term.epoch))
            count, size = count + 1, size + len(chunk)
            await pace.rest()
        await term.committed(at.seq)
        await term.audit.cover(segment)
        pointer = SnapshotPointer(identity, segment, at.now, at.wall, count, size)
        await self._insist(partial(term.journal.publish, pointer, epoch=term.epoch))
        self._last_bytes, self._covered_bytes = size, written
        self.taken += 1
        await self._insist(partial(term.journal.delete_orphans, epoch=term.epoch))
        await self._truncate()
        self._cover(segment)
        return pointer

    def _cover(self, segment: int) -> None:
        until_boot_ms = self._term.clock.boot_ms() + self._tail_ms
        self._covered = _Covered(segment, until_boot_ms, self._term.committer.written_bytes + self._tail_bytes)

    def _is_tail_over(self) -> bool:
        covered, term = self._covered, self._term
        return covered is not None and (
            term.clock.boot_ms() >= covered.until_boot_ms or term.committer.written_bytes >= covered.until_written
        )

    async def _truncate(self) -> None:
        """Delete what an earlier snapshot covers."""
        covered, self._covered = self._covered, None
        if covered is not None:
            while await self._insist(partial(self._term.journal.truncate, covered.segment)):
                pass
            await self._insist(self._term.journal.compact)

    async def _chunks(self, tables: dict[str, list[dict[object, object]]], pace: Pace) -> AsyncIterator[bytes]:
        chunk, size, seen = record_pb2.SnapshotChunk(), 0, 0
        for name, partitions in tables.items():
            part = chunk.tables.add(table=name)
            for rows in partitions:
                for row in rows.values():
                    data = encode_row(self._term.codec, name, row)
                    if size and size + len(data) > _CHUNK_BYTES:
                        yield chunk.SerializeToString()
                        chunk, size = record_pb2.SnapshotChunk(), 0
                        part = chunk.tables.add(table=name)
                    part.rows.append(data)
                    size, seen = size + len(data) + _ROW_FRAMING, seen + 1
                    if seen % _ROWS_PER_LOOK == 0:
                        await pace.breathe()
        if size:
            yield chunk.SerializeToString()

    async def _insist(self, step: Callable[[], Awaitable[T]]) -> T:
        return await insist(step, clock=self._term.clock)
