"""What lands late, or is read from a member that lags, changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.etcd_server import EtcdServer
from tercio_common.clock import SystemClock
from tercio_common.election.etcd import EtcdElection
from tercio_common.epochs import Epoch
from tercio_common.errors import StoreUnavailableError
from tercio_common.etcd_client import maintenance
from tercio_common.etcd_client.client import EtcdClient
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.etcd_client.stubs import api
from tercio_common.journal.etcd import EtcdJournal
from tercio_common.journal.port import Segment, SnapshotId, SnapshotPointer
from tercio_common.testing.eventually import eventually


class RecordingClient(EtcdClient):
    """Keeps what was sent, to send it again; answers reads from an older revision when told."""

    def __init__(self, settings: EtcdSettings) -> None:
        super().__init__(settings)
        self.sent: list[Any] = []
        self.stale_replies = 0
        self.reads = 0

    async def write(self, request: Any) -> Any:
        self.sent.append(request)
        return await super().write(request)

    async def read(self, request: Any) -> Any:
        self.reads += 1
        if self.stale_replies:
            self.stale_replies -= 1
            return api.RangeResponse(header=api.ResponseHeader(revision=1))
        return await super().read(request)

    async def pause(self) -> None:
        await asyncio.sleep(0)


class Leader:
    def __init__(self, client: RecordingClient, service: str) -> None:
        self.client = client
        self.journal = EtcdJournal(client, service=service)
        self.election = EtcdElection(client, service=service, clock=SystemClock(), ttl_ms=10_000)
        self.epoch = Epoch(0, 0)

    async def lead(self) -> None:
        leadership = await self.election.campaign("a:1")
        self.epoch = leadership.epoch
        self.resign = lambda: self.election.resign(leadership)

    async def publish(self, segment: int) -> SnapshotPointer:
        pointer = SnapshotPointer(SnapshotId(self.epoch, segment), segment, 1, 1, chunk_count=0, size_bytes=0)
        await self.journal.publish(pointer, epoch=self.epoch)
        return pointer

    async def send_everything_again(self) -> None:
        # The oldest last, so that what it would undo is there.
        for request in reversed(self.client.sent):
            await EtcdClient.write(self.client, request)


@pytest.fixture
async def leader(etcd_server: EtcdServer, request: pytest.FixtureRequest) -> AsyncIterator[Leader]:
    client = RecordingClient(EtcdSettings(endpoints=tuple(etcd_server.endpoints)))
    leader = Leader(client, request.node.name.replace("_", "-"))
    await leader.lead()
    client.sent.clear()
    yield leader
    await client.close()


async def test_an_old_publication_that_lands_late_does_not_bring_its_snapshot_back(leader: Leader) -> None:
    await leader.publish(1)
    newest = await leader.publish(2)
    await leader.send_everything_again()
    assert await leader.journal.pointer() == newest


async def test_a_chunk_that_lands_late_does_not_undo_a_newer_one(leader: Leader) -> None:
    snapshot = SnapshotId(leader.epoch, 1)
    await leader.journal.write_chunk(snapshot, 0, b"old", epoch=leader.epoch)
    await leader.journal.write_chunk(snapshot, 0, b"new", epoch=leader.epoch)
    await leader.send_everything_again()
    assert await leader.journal.read_chunk(snapshot, 0) == b"new"


async def test_writes_of_an_old_leader_that_land_late_change_nothing(leader: Leader) -> None:
    await leader.journal.append(1, b"one", epoch=leader.epoch)
    await leader.publish(1)
    before = await leader.journal.read(0), await leader.journal.pointer()
    await leader.resign()
    for request in leader.client.sent:
        for operation in request.success:
            operation.request_put.value = b"late"
    await leader.lead()
    await leader.send_everything_again()
    assert (await leader.journal.read(0), await leader.journal.pointer()) == before


async def test_a_page_from_before_the_leadership_is_read_again(leader: Leader) -> None:
    await leader.journal.append(1, b"one", epoch=leader.epoch)
    leader.client.stale_replies = 3
    assert await leader.journal.read(0, fence=leader.epoch) == [Segment(1, b"one")]
    leader.client.stale_replies = 3
    assert await leader.journal.pointer(fence=leader.epoch) is None


async def test_a_store_whose_members_all_lag_is_unavailable(leader: Leader) -> None:
    leader.client.stale_replies = 1000
    with pytest.raises(StoreUnavailableError, match="behind"):
        await leader.journal.read(0, fence=leader.epoch)


async def test_a_tail_goes_on_after_the_history_was_compacted(leader: Leader) -> None:
    tail = leader.journal.tail(0)
    await leader.journal.append(1, b"one", epoch=leader.epoch)
    assert await anext(tail) == Segment(1, b"one")
    await leader.journal.append(2, b"two", epoch=leader.epoch)
    await maintenance.reclaim(leader.client)
    await maintenance.reclaim(leader.client)
    assert await anext(tail) == Segment(2, b"two")
    following = asyncio.ensure_future(anext(tail))
    reads = leader.client.reads
    await eventually(lambda: leader.client.reads > reads)
    await leader.journal.append(3, b"three", epoch=leader.epoch)
    assert await following == Segment(3, b"three")
    await tail.aclose()
