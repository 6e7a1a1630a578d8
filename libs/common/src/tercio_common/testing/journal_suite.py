"""What every journal must do, as tests: subclass `JournalSuite` and give it a fixture `store`.

Each test uses a service of its own, so that one store may serve them all.
"""
# ruff: noqa: S101 - these are tests: an assertion is what they are for

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from tercio_common.election.port import Leadership
from tercio_common.epochs import Epoch
from tercio_common.errors import FencedError, JournalGapError
from tercio_common.journal.port import Journal, Segment, SnapshotId, SnapshotPointer
from tercio_common.journal.store import Store

_services = (f"journal-{number}" for number in itertools.count())


class Replica:
    """A journal and the leadership to write to it."""

    def __init__(self, store: Store, service: str) -> None:
        self.service = service
        self.journal: Journal = store.journal(service)
        self._election = store.election(service)
        self._leadership: Leadership | None = None

    @property
    def epoch(self) -> Epoch:
        """The last term that this replica won."""
        assert self._leadership is not None
        return self._leadership.epoch

    async def lead(self) -> Epoch:
        """Win the election."""
        self._leadership = await self._election.campaign("here:1")
        return self.epoch

    async def resign(self) -> None:
        """Give the role up."""
        assert self._leadership is not None
        await self._election.resign(self._leadership)

    async def append(self, *values: bytes, first: int = 1) -> None:
        """Append segments as the leader."""
        for number, value in enumerate(values, start=first):
            await self.journal.append(number, value, epoch=self.epoch)

    def pointer(self, segment: int, *, seq: int = 0) -> SnapshotPointer:
        """Return the pointer to a snapshot of this epoch."""
        snapshot = SnapshotId(self.epoch, seq or 10 * segment)
        return SnapshotPointer(snapshot, segment, now_ms=5, wall_ms=1_700_000_000_000, chunk_count=1, size_bytes=3)

    async def publish(self, segment: int) -> SnapshotPointer:
        """Write a snapshot of one chunk that covers up to the segment."""
        pointer = self.pointer(segment)
        await self.journal.write_chunk(pointer.id, 0, b"abc", epoch=self.epoch)
        await self.journal.publish(pointer, epoch=self.epoch)
        return pointer


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    with pytest.raises(FencedError):
        yield


class JournalSuite:
    """The behaviour of `tercio_common.journal.port.Journal`."""

    @pytest.fixture
    async def leader(self, store: Store) -> AsyncIterator[Replica]:
        """Yield a replica that leads a service of its own."""
        replica = Replica(store, next(_services))
        await replica.lead()
        yield replica
        await replica.resign()

    async def test_segments_are_read_back_in_order(self, leader: Replica) -> None:
        assert await leader.journal.read(0) == []
        await leader.append(b"one", b"", b"three")
        assert await leader.journal.read(0) == [Segment(1, b"one"), Segment(2, b""), Segment(3, b"three")]
        assert await leader.journal.read(1, fence=leader.epoch) == [Segment(2, b""), Segment(3, b"three")]
        assert await leader.journal.read(3) == []

    async def test_many_segments_are_read_over_several_pages(self, leader: Replica) -> None:
        values = [b"%d" % number for number in range(1, 81)]
        await leader.append(*values)
        assert [segment.value for segment in await leader.journal.read(0)] == values

    async def test_a_read_is_bounded_by_size_but_gives_at_least_one_segment(self, leader: Replica) -> None:
        await leader.append(b"x" * 100, b"y" * 100, b"z" * 100)
        assert [segment.number for segment in await leader.journal.read(0, max_bytes=50)] == [1]
        assert [segment.number for segment in await leader.journal.read(0, max_bytes=250)] == [1, 2]

    async def test_the_same_bytes_again_succeed_and_change_nothing(self, leader: Replica) -> None:
        await leader.append(b"one")
        await leader.append(b"one")
        assert await leader.journal.read(0) == [Segment(1, b"one")]

    async def test_other_bytes_with_the_same_number_are_refused(self, leader: Replica) -> None:
        await leader.append(b"one")
        with _refused():
            await leader.append(b"other")
        assert await leader.journal.read(0) == [Segment(1, b"one")]

    async def test_only_the_leader_appends(self, leader: Replica, store: Store) -> None:
        old = leader.epoch
        await leader.append(b"one")
        await leader.resign()
        with _refused():
            await leader.journal.append(2, b"after resigning", epoch=old)
        second = Replica(store, leader.service)
        assert await second.lead() > old
        with _refused():
            await leader.journal.append(2, b"stale", epoch=old)
        await second.append(b"two", first=2)
        with _refused():
            await leader.journal.append(3, b"stale", epoch=old)
        assert await second.journal.read(0, fence=second.epoch) == [Segment(1, b"one"), Segment(2, b"two")]
        await second.resign()

    async def test_a_lost_answer_is_found_again_after_the_term(self, leader: Replica) -> None:
        await leader.append(b"one")
        await leader.resign()
        await leader.append(b"one")
        await leader.lead()

    async def test_every_fenced_write_of_an_old_leader_is_refused(self, leader: Replica, store: Store) -> None:
        await leader.append(b"one")
        pointer = leader.pointer(1)
        await leader.resign()
        await Replica(store, leader.service).lead()
        journal, epoch = leader.journal, leader.epoch
        with _refused():
            await journal.write_chunk(pointer.id, 0, b"abc", epoch=epoch)
        with _refused():
            await journal.publish(pointer, epoch=epoch)
        with _refused():
            await journal.write_audit(1, b"audit", epoch=epoch)
        with _refused():
            await journal.trim_audit(1, epoch=epoch)
        with _refused():
            await journal.delete_orphans(epoch=epoch)
        assert await journal.pointer() is None
        assert await journal.read_chunk(pointer.id, 0) is None
        assert await journal.read_audit(0) == []

    async def test_services_do_not_see_each_other(self, leader: Replica, store: Store) -> None:
        await leader.append(b"one")
        other = Replica(store, leader.service + "-other")
        await other.lead()
        assert await other.journal.read(0) == []
        with _refused():
            await leader.journal.append(2, b"two", epoch=other.epoch)
        await other.resign()

    async def test_a_snapshot_is_published_and_read_back(self, leader: Replica) -> None:
        await leader.append(b"one")
        assert await leader.journal.pointer() is None
        pointer = await leader.publish(1)
        await leader.journal.write_chunk(pointer.id, 0, b"abc", epoch=leader.epoch)
        await leader.journal.publish(pointer, epoch=leader.epoch)
        assert await leader.journal.pointer(fence=leader.epoch) == pointer
        assert await leader.journal.read_chunk(pointer.id, 0) == b"abc"
        assert await leader.journal.read_chunk(pointer.id, 1) is None

    async def test_chunks_of_other_snapshots_are_deleted_as_orphans(self, leader: Replica) -> None:
        await leader.append(b"one", b"two")
        old = await leader.publish(1)
        present = await leader.publish(2)
        unfinished = SnapshotId(leader.epoch, 999)
        await leader.journal.write_chunk(unfinished, 0, b"half", epoch=leader.epoch)
        assert await leader.journal.delete_orphans(epoch=leader.epoch) == 2
        assert await leader.journal.read_chunk(present.id, 0) == b"abc"
        assert await leader.journal.read_chunk(old.id, 0) is None
        assert await leader.journal.read_chunk(unfinished, 0) is None
        assert await leader.journal.pointer() == present

    async def test_every_chunk_is_an_orphan_without_a_snapshot(self, leader: Replica) -> None:
        await leader.journal.write_chunk(SnapshotId(leader.epoch, 1), 0, b"half", epoch=leader.epoch)
        assert await leader.journal.delete_orphans(epoch=leader.epoch) == 1

    async def test_truncation_stops_at_the_snapshot_in_force(self, leader: Replica) -> None:
        await leader.append(b"one", b"two", b"three")
        assert await leader.journal.truncate(3) == 0
        await leader.publish(2)
        assert await leader.journal.truncate(3, limit=1) == 1
        assert await leader.journal.truncate(3) == 1
        assert await leader.journal.truncate(3) == 0
        assert await leader.journal.read(2) == [Segment(3, b"three")]
        with pytest.raises(JournalGapError):
            await leader.journal.read(0)

    async def test_a_reader_behind_a_truncation_learns_it_at_the_end_too(self, leader: Replica) -> None:
        await leader.append(b"one", b"two")
        await leader.publish(2)
        await leader.journal.truncate(2)
        with pytest.raises(JournalGapError):
            await leader.journal.read(1)
        assert await leader.journal.read(2) == []

    async def test_anybody_truncates(self, leader: Replica, store: Store) -> None:
        await leader.append(b"one")
        await leader.publish(1)
        await leader.resign()
        assert await store.journal(leader.service).truncate(1) == 1

    async def test_a_tail_gives_old_and_new_segments(self, leader: Replica) -> None:
        await leader.append(b"one", b"two")
        tail = leader.journal.tail(1)
        assert await anext(tail) == Segment(2, b"two")
        waiting = asyncio.ensure_future(anext(tail))
        await asyncio.sleep(0.01)
        await leader.append(b"three", b"four", first=3)
        assert await waiting == Segment(3, b"three")
        assert await anext(tail) == Segment(4, b"four")
        await tail.aclose()  # type: ignore[attr-defined]

    async def test_a_tail_tells_of_a_gap(self, leader: Replica) -> None:
        await leader.append(b"one", b"two")
        await leader.publish(1)
        await leader.journal.truncate(1)
        with pytest.raises(JournalGapError):
            await anext(leader.journal.tail(0))

    async def test_audit_chunks_are_kept_apart_and_trimmed(self, leader: Replica) -> None:
        journal, epoch = leader.journal, leader.epoch
        for number in (1, 2, 3):
            await journal.write_audit(number, b"%d" % number, epoch=epoch)
        await journal.write_audit(3, b"3", epoch=epoch)
        with _refused():
            await journal.write_audit(3, b"other", epoch=epoch)
        assert await journal.read_audit(0, limit=2) == [(1, b"1"), (2, b"2")]
        await journal.trim_audit(2, epoch=epoch)
        assert await journal.read_audit(0) == [(3, b"3")]
        assert await journal.audit_range() == (3, 3)
        assert await journal.read(0) == []

    async def test_audit_chunks_tell_their_range(self, leader: Replica) -> None:
        journal, epoch = leader.journal, leader.epoch
        assert await journal.audit_range() == (1, 0)
        for number in (1, 2, 3):
            await journal.write_audit(number, b"%d" % number, epoch=epoch)
        await journal.trim_audit(1, epoch=epoch)
        assert await journal.audit_range() == (2, 3)

    async def test_space_is_told_and_reclaiming_keeps_everything(self, leader: Replica) -> None:
        await leader.append(b"x" * 1000)
        space = await leader.journal.space()
        assert 1000 <= space.in_use <= space.file_size
        assert not space.full
        await leader.journal.compact()
        await leader.journal.reclaim()
        assert await leader.journal.read(0) == [Segment(1, b"x" * 1000)]
