"""A store in memory, for tests and for fleets that need not survive their process.

Several hosts of one process may share it, as replicas share an etcd.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from itertools import takewhile

from tercio_common.clock import Clock, SystemClock
from tercio_common.election.standalone import DEFAULT_TTL_MS, Role, StandaloneElection
from tercio_common.epochs import Epoch
from tercio_common.errors import FencedError, JournalGapError
from tercio_common.journal.following import Growth, follow
from tercio_common.journal.port import Segment, SnapshotId, SnapshotPointer, Space


class MemoryTerms:
    """See `tercio_common.election.standalone.Terms`."""

    def __init__(self) -> None:
        self._generation = 1
        self._revision = 0
        self._leading: dict[str, Epoch] = {}

    def is_leading(self, service: str, epoch: Epoch) -> bool:
        """Tell whether the epoch's term has not ended."""
        return self._leading.get(service) == epoch and epoch.generation == self._generation

    async def begin(self, service: str) -> Epoch:
        self._revision += 1
        self._leading[service] = Epoch(self._generation, self._revision)
        return self._leading[service]

    async def end(self, service: str, epoch: Epoch) -> None:
        if self._leading.get(service) == epoch:
            del self._leading[service]

    async def leads(self, service: str, epoch: Epoch) -> bool:
        return self.is_leading(service, epoch)

    async def generation(self) -> int:
        return self._generation

    async def raise_generation(self) -> int:
        self._generation += 1
        return self._generation


class _Shelf:
    """What one service keeps."""

    def __init__(self) -> None:
        self.segments: dict[int, bytes] = {}
        self.chunks: dict[tuple[SnapshotId, int], bytes] = {}
        self.pointer: SnapshotPointer | None = None
        self.audit: dict[int, bytes] = {}
        self.growth = Growth()


class MemoryStore:
    """See `tercio_common.journal.store.Store`."""

    def __init__(self, *, clock: Clock | None = None, ttl_ms: int = DEFAULT_TTL_MS) -> None:
        self._clock = clock or SystemClock()
        self._ttl_ms = ttl_ms
        self._terms = MemoryTerms()
        self._shelves: defaultdict[str, _Shelf] = defaultdict(_Shelf)
        self._roles: defaultdict[str, Role] = defaultdict(Role)

    def journal(self, service: str) -> MemoryJournal:
        return MemoryJournal(service, self._shelves[service], self._terms)

    def election(self, service: str) -> StandaloneElection:
        return StandaloneElection(
            service, role=self._roles[service], terms=self._terms, clock=self._clock, ttl_ms=self._ttl_ms
        )

    async def close(self) -> None:
        """Do nothing."""


class MemoryJournal:
    """See `tercio_common.journal.port.Journal`; made by `MemoryStore.journal`."""

    def __init__(self, service: str, shelf: _Shelf, terms: MemoryTerms) -> None:
        self._service = service
        self._shelf = shelf
        self._terms = terms

    async def append(self, number: int, value: bytes, *, epoch: Epoch) -> None:
        # As with a real store, what comes meanwhile waits for the next commit.
        await asyncio.sleep(0)
        self._create(self._shelf.segments, number, value, epoch)
        self._shelf.growth.notify()

    async def read(self, after: int, *, fence: Epoch | None = None, max_bytes: int = 4 << 20) -> list[Segment]:
        segments = self._shelf.segments
        wanted = after + 1
        if wanted not in segments:
            newest = max(segments, default=0)
            covered = self._shelf.pointer.segment if self._shelf.pointer else 0
            if max(newest, covered) > after:
                raise JournalGapError(f"segment {wanted} is gone: the snapshot covers up to {covered}")
            return []
        found = [Segment(wanted, segments[wanted])]
        room = max_bytes - len(found[0].value)
        while (value := segments.get(found[-1].number + 1)) is not None and len(value) <= room:
            room -= len(value)
            found.append(Segment(found[-1].number + 1, value))
        return found

    def tail(self, after: int) -> AsyncIterator[Segment]:
        return follow(self._shelf.growth, self.read, after)

    async def write_chunk(self, snapshot: SnapshotId, index: int, data: bytes, *, epoch: Epoch) -> None:
        if self._shelf.chunks.get((snapshot, index)) != data:
            self._check(epoch)
            self._shelf.chunks[snapshot, index] = data

    async def publish(self, pointer: SnapshotPointer, *, epoch: Epoch) -> None:
        if self._shelf.pointer != pointer:
            self._check(epoch)
            self._shelf.pointer = pointer
            self._shelf.growth.notify()

    async def pointer(self, *, fence: Epoch | None = None) -> SnapshotPointer | None:
        return self._shelf.pointer

    async def read_chunk(self, snapshot: SnapshotId, index: int) -> bytes | None:
        return self._shelf.chunks.get((snapshot, index))

    async def delete_orphans(self, *, epoch: Epoch) -> int:
        self._check(epoch)
        kept = self._shelf.pointer.id if self._shelf.pointer else None
        orphans = [key for key in self._shelf.chunks if key[0] != kept]
        for key in orphans:
            del self._shelf.chunks[key]
        return len(orphans)

    async def truncate(self, through: int, *, limit: int = 100) -> int:
        covered = min(through, self._shelf.pointer.segment) if self._shelf.pointer else 0
        oldest = list(takewhile(lambda number: number <= covered, sorted(self._shelf.segments)))[:limit]
        for number in oldest:
            del self._shelf.segments[number]
        return len(oldest)

    async def space(self) -> Space:
        shelf = self._shelf
        size = sum(len(value) for kind in (shelf.segments, shelf.chunks, shelf.audit) for value in kind.values())
        return Space(in_use=size, file_size=size, quota=0, full=False)

    async def compact(self) -> None:
        """Do nothing: deleted is gone."""

    async def reclaim(self) -> None:
        """Do nothing: deleted is gone."""

    async def write_audit(self, number: int, data: bytes, *, epoch: Epoch) -> None:
        self._create(self._shelf.audit, number, data, epoch)

    async def audit_range(self) -> tuple[int, int]:
        return min(self._shelf.audit, default=1), max(self._shelf.audit, default=0)

    async def read_audit(self, after: int, *, limit: int = 10) -> list[tuple[int, bytes]]:
        return sorted(item for item in self._shelf.audit.items() if item[0] > after)[:limit]

    async def trim_audit(self, through: int, *, epoch: Epoch) -> None:
        self._check(epoch)
        for number in [number for number in self._shelf.audit if number <= through]:
            del self._shelf.audit[number]

    async def close(self) -> None:
        """Do nothing."""

    def _create(self, kind: dict[int, bytes], number: int, value: bytes, epoch: Epoch) -> None:
        found = kind.get(number)
        if found is None:
            self._check(epoch)
            kind[number] = value
        elif found != value:
            raise FencedError(f"number {number} of {self._service} holds something else")

    def _check(self, epoch: Epoch) -> None:
        if not self._terms.is_leading(self._service, epoch):
            raise FencedError(f"epoch {epoch} does not lead {self._service} any more")
