"""Watches through real gRPC: ordered, gapless, resumable, filtered."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from support.registry import Heartbeats, Registry, info_of, reason_of, running_registry
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio_common.ids import encode_cursor
from tercio_common.journal.memory import MemoryStore
from tercio_common.settings import HostSettings
from tercio_common.testing.manual_clock import ManualClock
from tercio_registry.api import watching
from tercio_registry.state.agents import AgentRow


async def test_a_watch_from_a_list_sees_every_change_since_in_order(registry: Registry) -> None:
    await registry.register("before")
    cursor = await registry.cursor()
    await registry.register("a")
    watch = registry.watch(cursor)
    await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="before"))
    await registry.register("b")
    assert [await watch.next() for _ in range(3)] == [
        ("a", "HEALTHY"),
        ("before", "DEREGISTERED"),
        ("b", "HEALTHY"),
    ]


async def test_a_watch_without_a_cursor_starts_with_the_present(registry: Registry) -> None:
    await registry.register("past")
    watch = await registry.watch().standing()
    await registry.register("a")
    assert await watch.next() == ("a", "HEALTHY")


async def test_a_watch_resumes_after_any_event_even_within_one_record(registry: Registry) -> None:
    cursor = await registry.cursor()
    for number in range(4):
        await registry.register(f"a{number}")
    await registry.clock.advance(1_700)  # one record degrades all four
    await registry.register("last")
    whole, cursors = [], [cursor]
    watch = registry.watch(cursor)
    for _ in range(9):
        whole.append(await watch.next())
        cursors.append(watch.cursor)
    assert [state for _, state in whole] == ["HEALTHY"] * 4 + ["DEGRADED"] * 4 + ["HEALTHY"]
    for seen, resume in enumerate(cursors[:-1]):
        again = registry.watch(resume)
        assert [await again.next() for _ in whole[seen:]] == whole[seen:]


async def test_health_is_watched_down_to_the_end(registry: Registry) -> None:
    watch = await registry.watch().standing()
    await registry.register()
    await registry.clock.advance(3_500)
    assert [await watch.next() for _ in range(4)] == [
        ("a", "HEALTHY"),
        ("a", "DEGRADED"),
        ("a", "UNHEALTHY"),
        ("a", "GONE"),
    ]


async def test_renewals_are_not_changes(registry: Registry) -> None:
    await registry.register()
    watch = await registry.watch().standing()
    stream = Heartbeats(registry)
    for _ in range(5):
        await registry.clock.advance(900)
        await stream.beat(("a", 1))
    await registry.register("b")
    assert await watch.next() == ("b", "HEALTHY")


async def test_a_filtered_watch_shows_who_matches_and_who_stops_matching_and_nobody_else(registry: Registry) -> None:
    await registry.register("r1", agent_type="reviewer")
    await registry.register("w1", agent_type="worker")
    watch = await registry.watch(filter=pb.AgentFilter(agent_type="worker")).standing()
    await registry.register("r2", agent_type="reviewer")
    await registry.register("w1", agent_type="reviewer")
    await registry.register("w1", agent_type="reviewer", version="2")
    await registry.register("r1", agent_type="reviewer", version="2")
    await registry.register("w2", agent_type="worker")
    await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="w2"))
    assert [await watch.next() for _ in range(3)] == [("w1", "HEALTHY"), ("w2", "HEALTHY"), ("w2", "DEREGISTERED")]


async def test_a_resumed_filtered_watch_does_not_miss_who_stopped_matching(registry: Registry) -> None:
    await registry.register("w1", agent_type="worker")
    await registry.register("r1", agent_type="reviewer")
    cursor = await registry.cursor()
    await registry.register("w1", agent_type="reviewer")
    watch = registry.watch(cursor, filter=pb.AgentFilter(agent_type="worker"))
    assert await watch.next() == ("w1", "HEALTHY")
    await registry.register("r1", agent_type="reviewer", version="2")
    await registry.register("w2", agent_type="worker")
    assert await watch.next() == ("w2", "HEALTHY")


async def test_a_watch_that_matches_nothing_still_moves_its_cursor(registry: Registry) -> None:
    watch = await registry.watch(filter=pb.AgentFilter(agent_type="none")).standing()
    first = watch.cursor
    await registry.register("a")
    await registry.clock.advance(10_000)
    assert not (await watch.message()).HasField("agent")
    assert watch.cursor != first
    resumed = await registry.watch(watch.cursor).standing()
    await registry.register("b")
    assert await resumed.next() == ("b", "HEALTHY")


@pytest.mark.parametrize(
    "cursor",
    [
        "never made",
        encode_cursor("tasks", shard=0, position="1.0"),
        encode_cursor("agents", shard=1, position="1.0"),
        encode_cursor("agents", shard=0, position="1"),
        encode_cursor("agents", shard=0, position="-1.0"),
    ],
    ids=["noise", "another service", "another shard", "malformed", "negative"],
)
async def test_a_foreign_cursor_is_refused(registry: Registry, cursor: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await registry.watch(cursor).message()
    assert reason_of(caught.value) == "CURSOR_INVALID"


async def test_a_cursor_that_is_too_old_is_told_so(store: MemoryStore, clock: ManualClock) -> None:
    settings = HostSettings(feed_bytes=1 << 20, lag_bytes=64 * 1024)
    async with running_registry(store, clock=clock, host_settings=settings) as registry:
        cursor = await registry.cursor()
        await registry.register()
        for number in range(1_500):
            request = pb.CordonAgentRequest(agent_id="a", cordoned=True, reason=f"{number:01000}")
            await registry.stub.CordonAgent(request)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await registry.watch(cursor).message()
        assert reason_of(caught.value) == "CURSOR_COMPACTED"
        fresh = await registry.watch(await registry.cursor()).standing()
        await registry.register("b")
        assert await fresh.next() == ("b", "HEALTHY")


async def test_a_watch_that_ends_tells_from_where_to_resume(store: MemoryStore, clock: ManualClock) -> None:
    async with running_registry(store, clock=clock) as registry:
        watch = await registry.watch().standing()
        await registry.register()
        await watch.next()
        registry.running.cancel()
        await asyncio.gather(registry.running, return_exceptions=True)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.message()
        assert info_of(caught.value).metadata["cursor"] == watch.cursor


async def test_a_watch_of_a_large_fleet_lets_others_have_their_turn_while_it_begins(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        await registry.register(f"w{number}", agent_type="worker")
    cursor = await registry.cursor()
    looked: list[list[str]] = [[]]
    matches = watching._Reader._matches

    def noted(reader: watching._Reader, row: AgentRow) -> bool:
        if not looked[-1]:
            asyncio.get_running_loop().call_soon(looked.append, [])
        looked[-1].append(row.agent_id)
        return matches(reader, row)

    monkeypatch.setattr(watching, "_LOOKS", 4)  # a filter makes an agent cost more
    monkeypatch.setattr(watching._Reader, "_matches", noted)
    watch = registry.watch(cursor, filter=pb.AgentFilter(expression='type = "worker"'))
    await asyncio.gather(watch.standing(), registry.register("w3", agent_type="other"))
    assert max(map(len, looked)) == 2
    assert await watch.next() == ("w3", "HEALTHY"), "it stops matching while the watch begins"
    assert {each for turn in looked for each in turn} == {f"w{number}" for number in range(20)}
