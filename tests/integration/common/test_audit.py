"""The audit trail: one event for each mutation, whatever becomes of journal, leader and store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.audit import audited, mutations
from support.counter_fleet import LEASE, CounterFleet, add, call, render
from support.counter_machine import Add, Poison, Remove
from support.etcd_server import EtcdServer
from tercio_common.clock import SystemClock
from tercio_common.epochs import Epoch
from tercio_common.errors import JournalGapError, Refusal
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal import audit, audit_pages
from tercio_common.journal.audit import AuditTrail, End, read_end
from tercio_common.journal.audit_events import Selection
from tercio_common.journal.audit_pages import Position, read_page
from tercio_common.journal.port import SnapshotPointer
from tercio_common.journal.snapshots import Snapshotter
from tercio_common.journal.sqlite import SqliteStore
from tercio_common.journal.store import EtcdStore, Store
from tercio_common.machine import host as host_module
from tercio_common.machine.calls import Call
from tercio_common.machine.host import Host
from tercio_common.records.v1 import record_pb2
from tercio_common.testing.eventually import eventually
from tercio_common.testing.faulty_journal import FaultyJournal

_MANY = 40


class StoppingAtPublish(FaultyJournal):
    """Never puts a snapshot into force, as if the process were stopped there."""

    def __init__(self, journal: Any) -> None:
        super().__init__(journal)
        self.reached = asyncio.Event()

    async def publish(self, pointer: SnapshotPointer, *, epoch: Epoch) -> None:
        self.reached.set()
        await asyncio.Event().wait()


@pytest.fixture(params=["memory", "sqlite", "etcd"])
async def any_fleet(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CounterFleet]:
    store: Store | None = None
    if request.param == "sqlite":
        store = SqliteStore(tmp_path / "t.db", ttl_ms=LEASE.ttl_ms)
    if request.param == "etcd":
        server: EtcdServer = request.getfixturevalue("etcd_server")
        reach = EtcdSettings(endpoints=tuple(server.endpoints), rpc_timeout_ms=LEASE.rpc_timeout_ms)
        store = EtcdStore(reach, clock=SystemClock(), ttl_ms=LEASE.ttl_ms, prefix=f"audit-{tmp_path.name}")
    fleet = CounterFleet(store=store)
    keep_tail(fleet, 0)
    yield fleet
    await fleet.close()
    if store is not None:
        await store.close()


def keep_tail(fleet: CounterFleet, tail_ms: int, **others: int) -> None:
    fleet.settings = fleet.settings.model_copy(update={"tail_ms": tail_ms, **others})


def snapshotter(host: Host) -> Snapshotter:
    return Snapshotter(
        host.term, threshold_bytes=1 << 40, last_bytes=0, uncovered_bytes=0, tail_ms=0, tail_bytes=1 << 20
    )


async def snapshot(host: Host) -> None:
    """Take a snapshot and delete what it covers."""
    taking = snapshotter(host)
    pointer = await taking.take()
    while await host.term.journal.truncate(pointer.segment):
        pass
    with pytest.raises(JournalGapError):
        await host.term.journal.read(0)


async def change(host: Host, count: int = _MANY) -> None:
    for number in range(count):
        await add(host, f"c{number % 7}", request_id=f"r{host.tip_seq}-{number}")


async def seqs(host: Host) -> list[int]:
    return [event.seq for event in await audited(host)]


async def test_a_mutation_leaves_one_event_and_what_changed_nothing_none(fleet: CounterFleet) -> None:
    host = await fleet.leader()
    await add(host, "x", request_id="r")
    await add(host, "x", request_id="r")
    for refused in (Remove("unknown"), Poison("y")):
        with pytest.raises(Refusal):
            await host.execute(refused, call=call(), render=render)
    frame = Call("bob", "/counters.v1.Counters/Drop", session_id="s", frame_number=1)
    await host.committed(host.propose(Remove("x"), call=frame).seq)
    assert host.propose(Remove("x"), call=frame).duplicate
    host.term.write_header(call())
    await host.committed(host.tip_seq)
    first, second = await audited(host)
    assert (first.principal, first.method, first.request_id) == ("ann", "/add", "r")
    assert (first.changes, first.resources, first.resource_count) == (["CounterSet"], ["counters/x"], 1)
    assert (first.epoch.generation, first.epoch.revision) == tuple(host.epoch)
    assert first.time.ToMilliseconds() > 0
    assert (second.principal, second.session_id, second.frame_number) == ("bob", "s", 1)


async def test_events_outlive_their_segments_and_their_leaders(any_fleet: CounterFleet) -> None:
    fleet = any_fleet
    for address in ("a", "b", "c"):
        host = await fleet.leader(address)
        await change(host)
        await snapshot(host)
        await change(host, 3)
        await fleet.stop(host)
    host = await fleet.leader("d")
    assert await seqs(host) == mutations(fleet.journals)
    assert len(await seqs(host)) == 3 * (_MANY + 3)


async def killed_before_publish(fleet: CounterFleet) -> Host:
    """Return a leader that has taken a snapshot, after one that died with its chunk written and no snapshot."""
    fleet.faulty = StoppingAtPublish
    first = await fleet.leader("a")
    await change(first)
    taking = asyncio.create_task(snapshotter(first).take())
    await fleet.journals[0].reached.wait()
    taking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await taking
    await fleet.stop(first)
    fleet.faulty = FaultyJournal
    second = await fleet.leader("b")
    await change(second)
    await snapshot(second)
    return second


async def test_a_leader_that_dies_between_audit_and_snapshot_leaves_no_event_twice_or_out(
    any_fleet: CounterFleet,
) -> None:
    host = await killed_before_publish(any_fleet)
    assert host.term.audit.end.number == 2
    assert await seqs(host) == mutations(any_fleet.journals)


async def test_a_successor_that_does_not_look_where_the_chunks_end_is_found_out(
    fleet: CounterFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forgetful(journal: Any, *, epoch: Epoch) -> End:
        return (await read_end(journal, epoch=epoch))._replace(segment=0, seq=0)

    monkeypatch.setattr(host_module, "read_end", forgetful)
    host = await killed_before_publish(fleet)
    found = await chunk_seqs(host)
    assert sorted(set(found)) == mutations(fleet.journals)
    assert found != mutations(fleet.journals)


async def test_a_leader_that_does_not_audit_before_its_snapshot_is_found_out(
    fleet: CounterFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_trail: AuditTrail, _segment: int) -> None:
        return

    monkeypatch.setattr(AuditTrail, "cover", nothing)
    host = await killed_before_publish(fleet)
    assert await seqs(host) != mutations(fleet.journals)


async def chunk_seqs(host: Host) -> list[int]:
    chunks = await host.term.journal.read_audit(0, limit=1000)
    return [event.seq for _, data in chunks for event in record_pb2.AuditChunk.FromString(data).events]


async def test_a_list_that_is_resumed_after_a_snapshot_misses_and_repeats_nothing(fleet: CounterFleet) -> None:
    keep_tail(fleet, 0)
    host = await fleet.leader()
    await change(host)
    await snapshot(host)
    await change(host)
    trail, committer = host.term.audit, host.term.committer
    newest = await read_page(
        trail, Selection(), before=Position(committer.committed + 1, committer.last_segment), limit=5
    )
    await change(host)
    await snapshot(host)
    found, position = newest.events, newest.following
    while position is not None:
        page = await read_page(trail, Selection(), before=position, limit=5)
        found, position = found + page.events, page.following
    assert [event.seq for event in reversed(found)] == mutations(fleet.journals)[: 2 * _MANY]


async def test_events_are_chosen_by_caller_method_request_and_time(fleet: CounterFleet) -> None:
    keep_tail(fleet, 0)
    host = await fleet.leader()
    for number in range(10):
        each = Call("bob" if number % 2 else "ann", f"/counters.v1.Counters/M{number % 5}", request_id=f"r{number}")
        await host.execute(Add(f"c{number}"), call=each, render=render)
        fleet.clock.ahead_ms += 100
        if number == 4:
            await snapshot(host)
    everything = await audited(host)
    assert len(everything) == 10
    times = [event.time.ToMilliseconds() for event in everything]

    async def chosen(**fields: Any) -> list[int]:
        return [everything.index(event) for event in await audited(host, Selection(**fields))]

    assert await chosen(principal="bob") == [1, 3, 5, 7, 9]
    assert await chosen(method="M3") == await chosen(method="/counters.v1.Counters/M3") == [3, 8]
    assert await chosen(request_id="r6") == [6]
    assert await chosen(start_ms=times[3], end_ms=times[7]) == [3, 4, 5, 6]
    assert await chosen(method="M1", principal="ann") == [6]
    assert await chosen(request_id="r") == []


async def test_the_work_for_one_page_is_bounded(fleet: CounterFleet) -> None:
    keep_tail(fleet, 0, snapshot_bytes=1 << 40)
    host = await fleet.leader()
    for _ in range(20):
        await add(host, blob="b" * 450_000)
    committer = host.term.committer
    before = Position(committer.committed + 1, committer.last_segment)
    page = await read_page(host.term.audit, Selection(principal="nobody"), before=before, limit=5)
    assert page.events == []
    assert page.following is not None
    assert page.following.segment > 0
    assert await audited(host, Selection(principal="nobody")) == []


async def test_large_segments_below_many_small_ones_are_read_in_small_pieces(
    fleet: CounterFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_tail(fleet, 0, snapshot_bytes=1 << 40)
    host = await fleet.leader()
    for number in range(60):
        await add(host, f"large{number}", blob="b" * 450_000)
    await change(host, 600)
    pieces, read = list[int](), audit_pages._from_journal

    async def noting(*args: Any, **fields: Any) -> Any:
        piece = await read(*args, **fields)
        pieces.append(piece.size)
        return piece

    monkeypatch.setattr(audit_pages, "_from_journal", noting)
    assert await audited(host, Selection(principal="nobody")) == []
    assert sum(pieces) == sum(len(value) for _, value in fleet.journals[0].appended)
    assert max(pieces) < 8 << 20


async def test_what_is_half_copied_to_chunks_is_listed_once(
    fleet: CounterFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_CHUNK_BYTES", 1_000)
    host = await fleet.leader()
    await asyncio.gather(*[add(host, f"c{number}", request_id=f"r{number}") for number in range(_MANY)])
    trail, write, written = host.term.audit, AuditTrail._write, 0

    async def stop_after_two(self: AuditTrail, chunk: record_pb2.AuditChunk) -> None:
        nonlocal written
        await (write(self, chunk) if written < 2 else asyncio.Event().wait())
        written += 1

    monkeypatch.setattr(AuditTrail, "_write", stop_after_two)
    covering = asyncio.create_task(trail.cover(host.term.committer.last_segment))
    await eventually(lambda: written == 2)
    assert await seqs(host) == mutations(fleet.journals)
    covering.cancel()


async def test_the_trail_is_bounded_by_size_but_for_its_newest_chunk(any_fleet: CounterFleet) -> None:
    fleet = any_fleet
    keep_tail(fleet, 0, audit_bytes=3_000)
    host = await fleet.leader()
    for _ in range(6):
        await change(host, 10)
        await snapshot(host)
    await eventually(lambda: fits(host, 3_000))
    found = await seqs(host)
    assert found == mutations(fleet.journals)[-len(found) :]
    assert 10 <= len(found) < 60
    await fleet.stop(host)
    assert await seqs(await fleet.leader("b")) == found


async def fits(host: Host, most_bytes: int) -> bool:
    return sum(len(data) for _, data in await host.term.journal.read_audit(0, limit=100)) <= most_bytes


async def test_the_trail_is_bounded_by_age(fleet: CounterFleet) -> None:
    keep_tail(fleet, 0, audit_ms=60_000)
    host = await fleet.leader()
    await change(host, 5)
    await snapshot(host)
    fleet.clock.ahead_ms += 1_000
    await change(host, 5)
    await snapshot(host)
    assert len(await seqs(host)) == 10
    await host.term.audit.trim(host.term.moment().now + 59_500)
    assert len(await seqs(host)) == 5


async def test_what_a_leader_without_a_trail_left_is_no_obstacle(
    fleet: CounterFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_trail: AuditTrail, _segment: int) -> None:
        return

    keep_tail(fleet, 0)
    with monkeypatch.context() as old:
        old.setattr(AuditTrail, "cover", nothing)
        host = await fleet.leader()
        await change(host)
        await snapshot(host)
        await fleet.stop(host)
    host = await fleet.leader("b")
    await change(host, 5)
    await snapshot(host)
    assert await seqs(host) == mutations(fleet.journals)[-5:]
