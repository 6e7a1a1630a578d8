"""Snapshots and truncation, so that the journal does not grow for ever.

A snapshot starts when the journal since the last one exceeds max(64 MB, last snapshot), so writing snapshots costs at
most about as much as writing the journal. It is a walk over shared partitions in slices of 2 ms, paced to a quarter of
the time and of the commit bandwidth. Its pointer is swapped only after the last record that it holds is committed; then
older segments are deleted in slices.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

from tercio_common.errors import NotProposedError, OutcomeUnknownError
from tercio_common.journal.port import SnapshotId, SnapshotPointer
from tercio_common.machine.tables_codec import encode_row
from tercio_common.records.v1 import record_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tercio_common.machine.term import Term

_CHUNK_BYTES = 448 * 1024
_SLICE_SECONDS = 0.002
_ROWS_PER_LOOK = 64
_PACE = 3
"""Pause for this many times the time that a slice or the writing of a chunk took. A task's way takes dozens of turns of
the event loop: without a pause each of them would wait for a slice."""
_CHECK_MS = 250
_RETRY_MS = 50


class Snapshotter:
    """Takes the snapshots of one leadership."""

    def __init__(self, term: Term, *, threshold_bytes: int, last_bytes: int, uncovered_bytes: int) -> None:
        """Start with the size of the last snapshot and of the journal since."""
        self._term = term
        self._threshold_bytes = threshold_bytes
        self._last_bytes = last_bytes
        self._covered_bytes = -uncovered_bytes
        self.taken = 0

    async def run(self) -> None:
        """Take a snapshot whenever one is due, for ever."""
        while True:
            await self._term.clock.sleep_ms(_CHECK_MS)
            if self._term.committer.written_bytes - self._covered_bytes > max(self._threshold_bytes, self._last_bytes):
                await self.take()

    async def take(self) -> SnapshotPointer:
        """Write a snapshot of the tip, put it into force and delete what it covers."""
        term = self._term
        at, segment = term.tip, term.committer.last_segment
        written = term.committer.written_bytes
        tables = {name: table.share() for name, table in term.machine.tables.tables.items()}
        identity = SnapshotId(term.epoch, at.seq)
        count = size = 0
        async for chunk in self._chunks(tables):
            began = time.perf_counter()
            await self._insist(partial(term.journal.write_chunk, identity, count, chunk, epoch=term.epoch))
            count, size = count + 1, size + len(chunk)
            await self._rest(began)
        await term.committed(at.seq)
        pointer = SnapshotPointer(identity, segment, at.now, at.wall, count, size)
        await self._insist(partial(term.journal.publish, pointer, epoch=term.epoch))
        self._last_bytes, self._covered_bytes = size, written
        self.taken += 1
        await self._insist(partial(term.journal.delete_orphans, epoch=term.epoch))
        while await term.journal.truncate(segment):
            pass
        return pointer

    async def _chunks(self, tables: dict[str, list[dict[object, object]]]) -> AsyncIterator[bytes]:
        chunk, size = record_pb2.SnapshotChunk(), 0
        began, seen = time.perf_counter(), 0
        for name, partitions in tables.items():
            part = chunk.tables.add(table=name)
            for rows in partitions:
                for row in rows.values():
                    data = encode_row(self._term.codec, name, row)
                    part.rows.append(data)
                    size, seen = size + len(data), seen + 1
                    if size >= _CHUNK_BYTES:
                        yield chunk.SerializeToString()
                        chunk, size = record_pb2.SnapshotChunk(), 0
                        part = chunk.tables.add(table=name)
                    if seen % _ROWS_PER_LOOK == 0 and time.perf_counter() - began > _SLICE_SECONDS:
                        await self._rest(began)
                        began = time.perf_counter()
        if size:
            yield chunk.SerializeToString()

    async def _rest(self, began: float) -> None:
        await self._term.clock.sleep_ms(int(_PACE * 1000 * (time.perf_counter() - began)))

    async def _insist(self, write: Callable[[], Awaitable[object]]) -> None:
        """Repeat a write that may be repeated, until it has a definite outcome."""
        while True:
            try:
                await write()
                return
            except (NotProposedError, OutcomeUnknownError):
                await self._term.clock.sleep_ms(_RETRY_MS)
