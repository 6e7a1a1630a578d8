"""Reading the audit trail: newest first, from the journal and then from the chunks, a bounded piece at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import NamedTuple

from tercio.api.type.v1.audit_event_pb2 import AuditEvent
from tercio_common.errors import JournalGapError
from tercio_common.journal.audit import AuditTrail
from tercio_common.journal.audit_events import Header, Selection, audit_event, header_of, header_of_record, is_mutation
from tercio_common.journal.port import Segment
from tercio_common.machine.records import split_segment
from tercio_common.records.v1 import record_pb2

_PAGE_BYTES = 4 << 20
"""Read for one page, about: a tenth of a second for one that finds nothing."""
_SLICE_SECONDS = 0.005
_FEWEST_SEGMENTS, _MOST_SEGMENTS = 8, 512
"""Segments that are read at once, of the largest kind and of small ones."""
_SMALL_WINDOW = 256 * 1024


class Position(NamedTuple):
    """Where a list goes on.

    Attributes:
        seq: records below this one were not seen yet.
        segment: the newest segment that may hold them; those that chunks hold meanwhile are read from there.
        chunk: the newest chunk that may hold them; 0 while the journal is read.
    """

    seq: int
    segment: int = 0
    chunk: int = 0


class Page(NamedTuple):
    """Events, the newest first, and where to go on; None at the end."""

    events: list[AuditEvent]
    following: Position | None


class _Piece(NamedTuple):
    """What one read gave: wanted events with their positions, and its size in bytes."""

    found: list[tuple[Position, AuditEvent]]
    following: Position | None
    size: int


async def read_page(trail: AuditTrail, wanted: Selection, *, before: Position, limit: int) -> Page:
    """Read at most `limit` events that are older than a position; perhaps none, although more follow.

    Raises:
        StoreUnavailableError: the store gave no answer.
    """
    events: list[AuditEvent] = []
    position: Position | None = before
    read = 0
    window = _FEWEST_SEGMENTS
    while position is not None and read < _PAGE_BYTES:
        end = trail.end
        if position.segment > end.segment and not position.chunk:
            piece = await _from_journal(trail, wanted, position, window=window)
            window = min(2 * window, _MOST_SEGMENTS) if piece.size < _SMALL_WINDOW else _FEWEST_SEGMENTS
        else:
            piece = await _from_chunk(trail, wanted, position._replace(chunk=position.chunk or end.number))
        taken = piece.found[: limit - len(events)]
        events += [event for _, event in taken]
        read += piece.size
        position = piece.following if len(taken) == len(piece.found) else taken[-1][0]
        if len(events) == limit:
            break
    return Page(events, position)


async def _from_journal(trail: AuditTrail, wanted: Selection, position: Position, *, window: int) -> _Piece:
    """Read as many segments down from the position's, fewer where they are large."""
    try:
        oldest, segments = await _segments(trail, position.segment, window)
    except JournalGapError:  # a snapshot covers it by now, so chunks hold it
        return _Piece([], Position(position.seq, 0, trail.end.number), 0)
    found = []
    sieve = _Sieve(wanted, before=position.seq)
    for segment in reversed(segments):
        for record in reversed(split_segment(segment.value)):
            if is_mutation(record) and sieve.takes(record.seq, header_of_record(record)):
                found.append((Position(record.seq, segment.number), audit_event(record, trail.codec)))
            await sieve.breathe()
    # Of the segment that is partly in chunks by now, what was seen here is not to be seen again there.
    following = None if sieve.is_over else Position(sieve.lowest, oldest)
    return _Piece(found, following, _size(segment.value for segment in segments))


async def _segments(trail: AuditTrail, newest: int, window: int) -> tuple[int, list[Segment]]:
    """Return the segments up to `newest`, and the number before the first of them."""
    while True:
        after = oldest = max(trail.end.segment, newest - window)
        segments: list[Segment] = []
        while after < newest and (some := await trail.journal.read(after)):
            segments += [segment for segment in some if segment.number <= newest]
            after = some[-1].number
            if after < newest and window > _FEWEST_SEGMENTS:
                break  # one read does not hold them
        else:
            return oldest, segments
        window //= 2


async def _from_chunk(trail: AuditTrail, wanted: Selection, position: Position) -> _Piece:
    chunks = await trail.journal.read_audit(position.chunk - 1, limit=1) if position.chunk else []
    if not chunks or chunks[0][0] != position.chunk:
        return _Piece([], None, 0)  # the first one, or the rest was deleted meanwhile
    data = chunks[0][1]
    sieve = _Sieve(wanted, before=position.seq)
    found = []
    for event in reversed(record_pb2.AuditChunk.FromString(data).events):
        if sieve.takes(event.seq, header_of(event)):
            found.append((Position(event.seq, 0, position.chunk), event))
        await sieve.breathe()
    following = None if sieve.is_over or position.chunk == 1 else Position(position.seq, 0, position.chunk - 1)
    return _Piece(found, following, len(data))


class _Sieve:
    """Chooses among events that come newest first."""

    def __init__(self, wanted: Selection, *, before: int) -> None:
        self._wanted = wanted
        self._before = self.lowest = before
        self._began = time.perf_counter()
        self.is_over = False
        """All that follows is older than what is wanted: wall time never goes back."""

    def takes(self, seq: int, header: Header) -> bool:
        self.is_over = self.is_over or header.wall_ms < self._wanted.start_ms
        self.lowest = min(self.lowest, seq)
        return seq < self._before and self._wanted.matches(header)

    async def breathe(self) -> None:
        if time.perf_counter() - self._began > _SLICE_SECONDS:
            await asyncio.sleep(0)
            self._began = time.perf_counter()


def _size(values: Iterable[bytes]) -> int:
    return sum(map(len, values))
