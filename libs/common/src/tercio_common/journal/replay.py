"""Take-over: from snapshot and segments to the state of the last committed record.

The fence is the won election itself: after it nobody else can change the journal, so reads that are not older than it
are final.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from tercio_common.epochs import Epoch
from tercio_common.errors import JournalGapError
from tercio_common.journal.feed import Feed, FeedEntry
from tercio_common.journal.port import Journal, SnapshotPointer
from tercio_common.journal.requests import Requests
from tercio_common.machine.protocol import Codec, StateMachine
from tercio_common.machine.records import call_of_record, moment_of, split_segment
from tercio_common.machine.tables_codec import decode_row
from tercio_common.records.v1 import record_pb2

_SLICE_SECONDS = 0.005
_ROWS_PER_LOOK = 64


@dataclass(slots=True)
class Position:
    """Where the journal stands.

    Attributes:
        segment: number of the last segment.
        seq: number of the last record.
        now: its fleet time.
        wall: its wall time.
        snapshot_bytes: size of the snapshot that was loaded.
        journal_bytes: size of the segments after it.
    """

    segment: int = 0
    seq: int = 0
    now: int = 0
    wall: int = 0
    snapshot_bytes: int = 0
    journal_bytes: int = 0


class Replay:
    """Rebuilds one machine. Feed and requests are rebuilt with it."""

    def __init__(self, *, machine: StateMachine, codec: Codec, requests: Requests, feed: Feed) -> None:
        """Fill these, which are empty."""
        self._machine, self._codec, self._requests, self._feed = machine, codec, requests, feed
        self._yielded_at = time.perf_counter()

    async def run(self, journal: Journal, *, fence: Epoch) -> Position:
        """Read everything that is committed.

        Raises:
            JournalGapError: a snapshot was put into force while reading; start again with an empty machine.
            ValueError: a record of an unknown schema, or one that is missing.
        """
        position = await self._load_snapshot(journal, fence)
        self._feed.begin(position.seq)
        while segments := await journal.read(position.segment, fence=fence):
            for segment in segments:
                position.segment = segment.number
                position.journal_bytes += len(segment.value)
                for record in split_segment(segment.value):
                    self._replay(record, position)
                    await self._breathe()
        self._machine.tables.begin()
        return position

    async def _load_snapshot(self, journal: Journal, fence: Epoch) -> Position:
        pointer = await journal.pointer(fence=fence)
        if pointer is None:
            return Position()
        for index in range(pointer.chunk_count):
            data = await journal.read_chunk(pointer.id, index)
            if data is None:
                raise JournalGapError(f"chunk {index} of snapshot {pointer.id} is gone")
            await self._load_chunk(data)
        return _position_of(pointer)

    async def _load_chunk(self, data: bytes) -> None:
        for part in record_pb2.SnapshotChunk.FromString(data).tables:
            table = self._machine.tables.tables[part.table]
            for number, row in enumerate(part.rows, 1):
                table.put(decode_row(self._codec, part.table, row))
                if number % _ROWS_PER_LOOK == 0:
                    await self._breathe()
            self._machine.tables.begin()
            await self._breathe()

    def _replay(self, record: record_pb2.Record, position: Position) -> None:
        if record.seq <= position.seq:
            return  # the snapshot holds it already
        if record.seq != position.seq + 1:
            raise ValueError(f"record {record.seq} follows record {position.seq}: the journal has a gap")
        at = moment_of(record)
        tables = self._machine.tables
        tables.begin()
        for event in record.events:
            self._machine.apply(self._codec.decode_event(event), at)
        self._requests.remember(call_of_record(record), reply=record.reply, now=at.now)
        entry = FeedEntry(at.seq, at.now, at.wall, tables.changes())
        self._feed.publish(entry, record.ByteSize())
        position.seq, position.now, position.wall = at.seq, at.now, at.wall

    async def _breathe(self) -> None:
        if time.perf_counter() - self._yielded_at > _SLICE_SECONDS:
            await asyncio.sleep(0)
            self._yielded_at = time.perf_counter()


def _position_of(pointer: SnapshotPointer) -> Position:
    return Position(
        segment=pointer.segment,
        seq=pointer.id.seq,
        now=pointer.now_ms,
        wall=pointer.wall_ms,
        snapshot_bytes=pointer.size_bytes,
    )
