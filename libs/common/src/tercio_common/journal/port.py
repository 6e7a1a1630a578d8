"""The Journal port: a fenced, dense sequence of segments with snapshots.

Promises of every implementation, checked by one suite:

- `append` creates segment `n` only while the given epoch leads **and** no segment `n` exists. When it returns, the
  segment is durable; when it raises `FencedError`, it never was and never will be written.
- A repeated `append` of identical bytes to the same number succeeds if an earlier one did.
- `read` gives consecutive segments, linearizably, and with a fence nothing older than that leadership.
- `publish`, `write_chunk` and `write_audit` are fenced like `append`. `truncate` writes nothing but deletions, and
  only of segments that the snapshot in force covers, so that any replica may call it, also when the store is full.

It does not promise that segments are kept for ever, nor that a tail survives truncation: it raises `JournalGapError`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from tercio_common.epochs import Epoch


@dataclass(frozen=True, slots=True)
class Segment:
    """One commit: its number, dense from 1, and its bytes."""

    number: int
    value: bytes


@dataclass(frozen=True, slots=True)
class SnapshotId:
    """Names the chunks of one snapshot. They carry the epoch, so that two leaders never share a key."""

    epoch: Epoch
    seq: int


@dataclass(frozen=True, slots=True)
class SnapshotPointer:
    """The snapshot in force.

    Attributes:
        id: which chunks; `id.seq` is the last record that they hold.
        segment: every record up to this segment is held.
        now_ms: fleet time of the last record.
        wall_ms: wall time of the last record.
        chunk_count: how many chunks there are.
        size_bytes: their size.
    """

    id: SnapshotId
    segment: int
    now_ms: int
    wall_ms: int
    chunk_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Space:
    """How full the store is, in bytes. `quota` 0 means unlimited."""

    in_use: int
    file_size: int
    quota: int
    full: bool


class Journal(Protocol):
    """One service's journal. Every method may raise `StoreUnavailableError` when nothing was to be written."""

    async def append(self, number: int, value: bytes, *, epoch: Epoch) -> None:
        """Create segment `number`.

        Raises:
            FencedError: another leader exists or another segment has this number; nothing was written by this call.
            NotProposedError: certainly not written.
            OutcomeUnknownError: perhaps written; repeat the identical call until there is a definite answer.
        """
        ...

    async def read(self, after: int, *, fence: Epoch | None = None, max_bytes: int = 4 << 20) -> list[Segment]:
        """Return consecutive segments from `after + 1` on, at least one if it exists, empty at the end.

        Raises:
            JournalGapError: later segments exist but `after + 1` was truncated.
        """
        ...

    def tail(self, after: int) -> AsyncIterator[Segment]:
        """Give segments from `after + 1` on, for ever. Raises `JournalGapError` like `read`."""
        ...

    async def write_chunk(self, snapshot: SnapshotId, index: int, data: bytes, *, epoch: Epoch) -> None:
        """Write one chunk, at most 512 kB. Repeating it is harmless. Raises like `append`."""
        ...

    async def publish(self, pointer: SnapshotPointer, *, epoch: Epoch) -> None:
        """Put the snapshot into force; its chunks are all written. Repeating it is harmless. Raises like `append`."""
        ...

    async def pointer(self, *, fence: Epoch | None = None) -> SnapshotPointer | None:
        """Return the snapshot in force."""
        ...

    async def read_chunk(self, snapshot: SnapshotId, index: int) -> bytes | None:
        """Return one chunk, or None when it was replaced meanwhile: read the pointer again."""
        ...

    async def delete_orphans(self, *, epoch: Epoch) -> int:
        """Delete chunks of every snapshot but the one in force, as the leader; return how many."""
        ...

    async def truncate(self, through: int, *, limit: int = 100) -> int:
        """Delete at most `limit` segments up to `through`, the oldest first; return how many.

        Segments that the snapshot in force does not cover stay, whatever `through` says.
        """
        ...

    async def space(self) -> Space:
        """Return how full the store is."""
        ...

    async def compact(self) -> None:
        """Make the room of what was deleted or replaced usable again; harmless at any time, by anybody."""
        ...

    async def reclaim(self) -> None:
        """Compact and defragment, one member at a time, and lift the alarm of a full store."""
        ...

    async def write_audit(self, number: int, data: bytes, *, epoch: Epoch) -> None:
        """Write one audit chunk, at most 512 kB, numbers dense from 1. Raises like `append`."""
        ...

    async def audit_range(self) -> tuple[int, int]:
        """Return the numbers of the oldest and of the newest audit chunk; (1, 0) when there is none."""
        ...

    async def read_audit(self, after: int, *, limit: int = 10) -> list[tuple[int, bytes]]:
        """Return audit chunks with numbers over `after`, in order."""
        ...

    async def trim_audit(self, through: int, *, epoch: Epoch) -> None:
        """Delete audit chunks up to `through`, as the leader."""
        ...

    async def close(self) -> None:
        """Release connections and files."""
        ...
