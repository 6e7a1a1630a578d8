"""Snapshots: bounded chunks, a tail that stays, and a leader that outlives every hiccup of the store meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from support.counter_fleet import LEASE, CounterFleet, add, contents
from support.etcd_server import EtcdServer
from tercio_common.clock import SystemClock
from tercio_common.epochs import Epoch
from tercio_common.errors import JournalGapError, NotProposedError, OutcomeUnknownError, StoreUnavailableError
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal.port import SnapshotId, SnapshotPointer
from tercio_common.journal.store import EtcdStore
from tercio_common.machine.host import Host
from tercio_common.testing.eventually import eventually
from tercio_common.testing.faulty_journal import FaultyJournal

_CHUNK_CAP = 512 * 1024


class Recording(FaultyJournal):
    """Notes the size of chunks and what was done, and fails the first of each kind of write once."""

    failures: dict[str, Exception]

    def __init__(self, journal: Any) -> None:
        super().__init__(journal)
        self.failures = {}
        self.done: list[str] = []
        self.chunk_sizes: list[int] = []

    def _did(self, what: str) -> None:
        failure = self.failures.pop(what, None)
        if failure is not None:
            raise failure
        self.done.append(what)

    async def write_chunk(self, snapshot: SnapshotId, index: int, data: bytes, *, epoch: Epoch) -> None:
        self._did("write_chunk")
        self.chunk_sizes.append(len(data))
        await super().write_chunk(snapshot, index, data, epoch=epoch)

    async def publish(self, pointer: SnapshotPointer, *, epoch: Epoch) -> None:
        self._did("publish")
        await super().publish(pointer, epoch=epoch)

    async def delete_orphans(self, *, epoch: Epoch) -> int:
        self._did("delete_orphans")
        return await super().delete_orphans(epoch=epoch)

    async def truncate(self, through: int, *, limit: int = 100) -> int:
        self._did("truncate")
        return await super().truncate(through, limit=limit)

    async def compact(self) -> None:
        self._did("compact")
        await super().compact()


def tail_of(fleet: CounterFleet, tail_ms: int) -> None:
    fleet.settings = fleet.settings.model_copy(update={"tail_ms": tail_ms})


async def fill(host: Host, *, count: int = 300, size: int = 5_000) -> None:
    for number in range(count):
        await add(host, f"c{number % 7}", blob="b" * size)


async def is_truncated(journal: Any) -> bool:
    try:
        await journal.read(0)
    except JournalGapError:
        return True
    return False


@pytest.mark.parametrize("error", [StoreUnavailableError, NotProposedError, OutcomeUnknownError])
@pytest.mark.parametrize("step", ["write_chunk", "publish", "delete_orphans", "truncate", "compact"])
async def test_a_hiccup_of_the_store_in_any_step_fells_no_leader(
    fleet: CounterFleet, step: str, error: Callable[[str], Exception]
) -> None:
    fleet.faulty = Recording
    tail_of(fleet, 0)
    host = await fleet.leader()
    journal, epoch = fleet.journals[0], host.epoch
    await eventually(lambda: "delete_orphans" in journal.done)
    journal.done.clear()
    journal.failures[step] = error("once")
    await fill(host)
    await eventually(lambda: {"publish", "delete_orphans", "truncate", "compact"} <= set(journal.done))
    assert not journal.failures
    assert host.leading
    assert host.epoch == epoch


async def test_chunks_fit_into_their_cap_whatever_the_rows_are_like(fleet: CounterFleet) -> None:
    fleet.faulty = Recording
    host = await fleet.leader()
    await fill(host, count=9, size=200_000)
    await eventually(lambda: "publish" in fleet.journals[0].done)
    assert max(fleet.journals[0].chunk_sizes) <= _CHUNK_CAP


async def test_a_new_leader_deletes_chunks_that_no_pointer_names(fleet: CounterFleet) -> None:
    journal, election = fleet.store.journal("counters"), fleet.store.election("counters")
    leadership = await election.campaign("crashed")
    left = SnapshotId(leadership.epoch, 7)
    await journal.write_chunk(left, 0, b"half a snapshot", epoch=leadership.epoch)
    await election.resign(leadership)
    await fleet.leader()

    async def deleted() -> bool:
        return await journal.read_chunk(left, 0) is None

    await eventually(deleted)


async def test_raw_tails_find_what_a_snapshot_covers_for_a_while(fleet: CounterFleet) -> None:
    tail_of(fleet, 400)
    fleet.faulty = Recording
    host = await fleet.leader()
    journal = fleet.store.journal("counters")
    await fill(host)
    await eventually(lambda: "delete_orphans" in fleet.journals[0].done and "publish" in fleet.journals[0].done)
    assert not await is_truncated(journal)
    await eventually(lambda: is_truncated(journal))


async def test_a_new_leader_truncates_what_the_former_one_left(fleet: CounterFleet) -> None:
    tail_of(fleet, 60_000)
    fleet.faulty = Recording
    host = await fleet.leader()
    await fill(host)
    await eventually(lambda: "publish" in fleet.journals[0].done)
    await fleet.stop(host)
    tail_of(fleet, 0)
    await fleet.leader("b")
    await eventually(lambda: is_truncated(fleet.store.journal("counters")))


async def is_below(journal: Any, in_use: int) -> bool:
    return (await journal.space()).in_use < in_use


@pytest.fixture
async def etcd_fleet(etcd_server: EtcdServer) -> AsyncIterator[CounterFleet]:
    reach = EtcdSettings(endpoints=tuple(etcd_server.endpoints), rpc_timeout_ms=LEASE.rpc_timeout_ms)
    store = EtcdStore(reach, clock=SystemClock(), ttl_ms=LEASE.ttl_ms, prefix="host-snapshots")
    fleet = CounterFleet(store=store)
    yield fleet
    await fleet.close()
    await store.close()


async def test_on_etcd_a_successor_replays_snapshot_and_rest_after_truncation(etcd_fleet: CounterFleet) -> None:
    fleet = etcd_fleet
    tail_of(fleet, 0)
    host = await fleet.leader()
    journal = fleet.store.journal("counters")
    others = (await journal.space()).in_use
    await fill(host, count=60, size=50_000)
    await eventually(lambda: is_truncated(journal))
    await add(host, "after the snapshot", request_id="r")
    kept, seq = contents(host), host.committed_seq
    await eventually(lambda: is_below(journal, others + 60 * 50_000))  # what was deleted is compacted too
    await fleet.stop(host)
    successor = await fleet.leader("b")
    assert contents(successor) == kept
    assert successor.committed_seq == seq
    assert await add(successor, "after the snapshot", request_id="r") == b"1"
