"""The audit trail: one event for each mutation, kept longer than the journal.

A record's header is its audit event, so the journal itself is the newest part of the trail and the hot path does
nothing for it. Before a snapshot is put into force, the events of all segments that it will cover are copied to chunks.
So whatever may be deleted, also by a replica that does not lead, has been audited.

A chunk says how far it goes. Should a leader end between chunk and snapshot, its successor goes on from there: no event
is missing, and none is there twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import NamedTuple

import structlog

from tercio_common.clock import Clock
from tercio_common.epochs import Epoch
from tercio_common.journal.audit_events import audit_event, is_mutation
from tercio_common.journal.pacing import Pace, insist
from tercio_common.journal.port import Journal
from tercio_common.machine.protocol import Codec
from tercio_common.machine.records import split_segment
from tercio_common.records.v1 import record_pb2

_CHUNK_BYTES = 448 * 1024
_FRAMING = 6  # bytes of tag and length at most
_READ_BYTES = 512 * 1024
_log = structlog.get_logger(__name__)


class End(NamedTuple):
    """Where the chunks end.

    Attributes:
        number: of the newest chunk; 0 when there is none.
        segment: every record up to this segment is in a chunk.
        seq: the last record that was looked at.
        written_bytes: size of all chunks that were ever written.
    """

    number: int = 0
    segment: int = 0
    seq: int = 0
    written_bytes: int = 0


class _Oldest(NamedTuple):
    number: int
    bytes_before: int
    now_ms: int


class AuditTrail:
    """The chunks, as the leader of one epoch writes and trims them."""

    def __init__(
        self, *, end: End, journal: Journal, codec: Codec, epoch: Epoch, clock: Clock, most_bytes: int, most_ms: int
    ) -> None:
        """Go on at `end`. Keep at most about so many bytes, and chunks for at most so many ms of fleet time."""
        self.end = end
        self.journal, self.codec = journal, codec
        self._epoch, self._clock = epoch, clock
        self._most_bytes, self._most_ms = most_bytes, most_ms
        self._oldest: _Oldest | None = None

    async def cover(self, segment: int) -> None:
        """Copy the events of every segment up to this one, all of which are committed, to chunks.

        Raises:
            FencedError: another leader exists.
        """
        first = self.end
        chunk, size = record_pb2.AuditChunk(segment=first.segment, last_seq=first.seq), 0
        async for number, record in self._records(first.segment, segment):
            if record.seq <= first.seq:
                continue
            if is_mutation(record):
                event = audit_event(record, self.codec)
                added = event.ByteSize() + _FRAMING
                if size + added > _CHUNK_BYTES:
                    await self._write(chunk)
                    chunk, size = record_pb2.AuditChunk(), 0
                chunk.events.append(event)
                size += added
            chunk.segment, chunk.last_seq, chunk.now_ms = number - 1, record.seq, record.now_ms
        if segment > first.segment:
            chunk.segment = segment
            await self._write(chunk)

    def is_full(self, now: int) -> bool:
        """Tell whether chunks are to be deleted at this fleet time, as far as is known without reading."""
        oldest, end = self._oldest, self.end
        return oldest is None or (
            oldest.number < end.number
            and (end.written_bytes - oldest.bytes_before > self._most_bytes or now - oldest.now_ms > self._most_ms)
        )

    async def trim(self, now: int) -> None:
        """Delete what is too much or too old, but never the newest chunk, which says where to go on.

        Raises:
            FencedError: another leader exists.
        """
        first, _ = await insist(self.journal.audit_range, clock=self._clock)
        oldest = self._oldest = await self._read_oldest(first - 1)
        while self.is_full(now):
            oldest = self._oldest = await self._read_oldest(oldest.number)
        if oldest.number > first:
            trim = partial(self.journal.trim_audit, oldest.number - 1, epoch=self._epoch)
            await insist(trim, clock=self._clock)

    async def _read_oldest(self, after: int) -> _Oldest:
        found = await insist(partial(self.journal.read_audit, after, limit=1), clock=self._clock)
        if not found:
            return _Oldest(after + 1, 0, 0)
        number, data = found[0]
        chunk = record_pb2.AuditChunk.FromString(data)
        return _Oldest(number, chunk.bytes_before, chunk.now_ms)

    async def _write(self, chunk: record_pb2.AuditChunk) -> None:
        chunk.bytes_before = self.end.written_bytes
        number, data = self.end.number + 1, chunk.SerializeToString()
        await insist(partial(self.journal.write_audit, number, data, epoch=self._epoch), clock=self._clock)
        self.end = _end_of(number, data)

    async def _records(self, after: int, through: int) -> AsyncIterator[tuple[int, record_pb2.Record]]:
        """Give the records of the segments after one and up to another, with their segment, in slices."""
        pace = Pace(self._clock)
        while after < through:
            read = partial(self.journal.read, after, max_bytes=_READ_BYTES)
            for segment in await insist(read, clock=self._clock):
                if segment.number > through:
                    return
                for record in split_segment(segment.value):
                    yield segment.number, record
                    await pace.breathe()
                after = segment.number


async def read_end(journal: Journal, *, epoch: Epoch) -> End:
    """Return where the chunks end, as the leader of this epoch: nobody else changes it any more."""
    _, number = await journal.audit_range()
    found = await journal.read_audit(number - 1, limit=1) if number else []
    end = _end_of(*found[0]) if found else End()
    pointer = await journal.pointer(fence=epoch)
    if pointer is None or pointer.segment <= end.segment:
        return end
    # Only a leader of a version without a trail put that snapshot into force; its segments may be gone.
    _log.warning("audit_gap", after=end.segment, through=pointer.segment, effect="these mutations are not audited")
    return end._replace(segment=pointer.segment)


def _end_of(number: int, data: bytes) -> End:
    chunk = record_pb2.AuditChunk.FromString(data)
    return End(number, chunk.segment, chunk.last_seq, chunk.bytes_before + len(data))
