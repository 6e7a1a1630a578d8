"""Heartbeat streams through real gRPC, on time that the test moves."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from prometheus_client import REGISTRY

from support.registry import (
    INTERVAL_MS,
    SECOND,
    SETTINGS,
    TTL_MS,
    Heartbeats,
    Registry,
    fields_of,
    reason_of,
    running_registry,
)
from tercio.api.registry.v1 import agent_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_registry.api import link


async def test_one_stream_renews_many_agents_and_answers_in_their_order(registry: Registry) -> None:
    await registry.register("a")
    await registry.register("b")
    await registry.register("b", instance_id=SECOND)
    await registry.register("gone")
    await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="gone"))
    stream = Heartbeats(registry)
    await stream.send(("b", 1), ("nobody", 1), ("a", 1), ("gone", 1), ("b", 2), ("b", 3))
    reply = await stream.receive()
    assert [(answer.agent_id, answer.incarnation, answer.reason) for answer in reply.answers] == [
        ("b", 1, "AGENT_REPLACED"),
        ("nobody", 1, "AGENT_NOT_FOUND"),
        ("a", 1, ""),
        ("gone", 1, "AGENT_GONE"),
        ("b", 2, ""),
        ("b", 3, "AGENT_NOT_FOUND"),
    ]
    assert 900 <= reply.heartbeat_interval.ToMilliseconds() <= 1_100
    assert reply.lease_ttl.ToMilliseconds() == 3_000
    assert reply.epoch.revision >= 1


async def test_heartbeats_keep_an_agent_healthy_and_their_absence_ends_it(registry: Registry) -> None:
    await registry.register()
    stream = Heartbeats(registry)
    for _ in range(5):
        await registry.clock.advance(1_000)
        assert await stream.beat(("a", 1)) == [""]
    agent = await registry.get()
    assert await registry.state() == "HEALTHY"
    assert agent.renew_time.ToMilliseconds() == registry.clock.wall_ms()
    seen = []
    for _ in range(16):
        await registry.clock.advance(200)
        seen.append(await registry.state())
    assert [state for state, following in zip(seen, [*seen[1:], ""], strict=True) if state != following] == [
        "HEALTHY",
        "DEGRADED",
        "UNHEALTHY",
        "GONE",
    ]
    # Told without being asked, as soon as it was durable.
    assert [answer.reason for answer in (await stream.receive()).answers] == ["AGENT_GONE"]
    assert await stream.beat(("a", 1)) == ["AGENT_GONE"]


async def test_punctual_heartbeats_heal(registry: Registry) -> None:
    await registry.register()
    await registry.clock.advance(1_700)
    assert await registry.state() == "DEGRADED"
    beats = Heartbeats(registry)
    assert await beats.beat(("a", 1)) == [""]  # late itself
    for _ in range(SETTINGS.recovery_streak):
        assert await registry.state() == "DEGRADED"
        assert await beats.beat(("a", 1)) == [""]

    async def healthy() -> bool:
        return await registry.state() == "HEALTHY"

    await eventually(healthy)


async def test_cordon_and_drain_are_pushed_at_once(registry: Registry) -> None:
    await registry.register("a")
    await registry.register("b")
    stream = Heartbeats(registry)
    await stream.beat(("a", 1), ("b", 1))
    await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="b", cordoned=True))
    [pushed] = (await stream.receive()).answers
    assert (pushed.agent_id, pushed.reason, pushed.cordoned, pushed.draining) == ("b", "", True, False)
    await registry.stub.DrainAgent(pb.DrainAgentRequest(agent_id="a"))
    [pushed] = (await stream.receive()).answers
    assert (pushed.agent_id, pushed.cordoned, pushed.draining) == ("a", False, True)
    await stream.send(("b", 1))
    [answer] = (await stream.receive()).answers
    assert answer.cordoned
    await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="b", cordoned=False))
    [pushed] = (await stream.receive()).answers
    assert (pushed.agent_id, pushed.cordoned) == ("b", False)


async def test_a_former_self_is_told_that_it_was_replaced(registry: Registry) -> None:
    await registry.register()
    former = Heartbeats(registry)
    await former.beat(("a", 1))
    await registry.register(instance_id=SECOND)
    [pushed] = (await former.receive()).answers
    assert (pushed.incarnation, pushed.reason) == (1, "AGENT_REPLACED")


async def test_only_the_newest_stream_of_an_agent_is_told(registry: Registry) -> None:
    await registry.register()
    old, new = Heartbeats(registry), Heartbeats(registry)
    await old.beat(("a", 1))
    await new.beat(("a", 1))
    await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="a", cordoned=True))
    assert (await new.receive()).answers[0].cordoned
    assert await old.beat() == []


async def test_too_many_heartbeats_in_a_message_end_the_stream(registry: Registry) -> None:
    stream = Heartbeats(registry)
    await stream.send(*(("a", 1) for _ in range(1_001)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.receive()
    assert (reason_of(caught.value), fields_of(caught.value)) == ("INVALID_ARGUMENT", ["beats"])


async def test_a_stream_that_the_agent_closes_ends_well(registry: Registry) -> None:
    await registry.register()
    stream = Heartbeats(registry)
    await stream.beat(("a", 1))
    await stream.call.done_writing()
    assert await stream.call.read() is grpc.aio.EOF
    assert await stream.call.code() is grpc.StatusCode.OK


async def test_an_abandoned_stream_leaves_nothing_behind(registry: Registry) -> None:
    await registry.register()
    stream = Heartbeats(registry)
    await stream.beat(("a", 1))
    before = len(asyncio.all_tasks())
    stream.call.cancel()
    await eventually(lambda: len(asyncio.all_tasks()) < before)
    await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="a", cordoned=True))
    assert await Heartbeats(registry).beat(("a", 1)) == [""]


async def _read_to_the_end(stream: Heartbeats) -> None:
    while True:
        await stream.receive()


async def test_a_stream_whose_answers_are_not_read_ends_and_holds_no_more_of_them(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_MOST_WAITING", 10)
    stream = Heartbeats(registry)
    answers = [(f"nobody-{number:0120}", 1) for number in range(1_000)]
    for _ in range(50):  # more than the connection holds on its way
        await stream.send(*answers)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _read_to_the_end(stream)
    assert reason_of(caught.value) == "READER_TOO_SLOW"


async def test_streams_end_with_the_leadership_and_the_next_leader_confirms(
    store: MemoryStore, clock: ManualClock
) -> None:
    async with running_registry(store, clock=clock) as first:
        await first.register()
        stream = Heartbeats(first)
        await stream.beat(("a", 1))
        watch = await first.watch().standing()
        async with running_registry(store, clock=clock, leads=False) as second:
            first.running.cancel()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.receive()
            assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "NO_LEADER")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await watch.next()
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            await eventually(lambda: second.service.host.leading)
            assert await second.state() == "UNCONFIRMED"
            assert not (await second.get()).HasField("renew_time")
            resumed = second.watch(watch.cursor)
            assert await Heartbeats(second).beat(("a", 1)) == [""]
            assert await resumed.next() == ("a", "HEALTHY")
            agent = await second.get()
            assert agent.confirmed_epoch.revision == second.service.host.epoch.revision
            assert agent.incarnation == 1


async def test_a_leader_that_was_stopped_declares_nobody_gone(registry: Registry) -> None:
    await registry.register()
    registry.clock.jump(7_000)
    await registry.clock.advance(2_500)
    assert await registry.state() != "GONE"
    assert await Heartbeats(registry).beat(("a", 1)) == [""]
    await registry.clock.advance(1_000)
    assert await registry.state() == "DEGRADED"


async def test_a_leader_that_was_stopped_for_a_ttl_shows_nobody_healthy_until_it_has_heard_them(
    registry: Registry,
) -> None:
    await registry.register()
    stream = Heartbeats(registry)
    assert await stream.beat(("a", 1)) == [""]
    watch = await registry.watch(await registry.cursor()).standing()
    registry.clock.jump(TTL_MS)
    healthy = pb.AgentFilter(states=[agent_pb2.Agent.STATE_HEALTHY])
    assert await registry.state() == "UNCONFIRMED"
    assert await registry.pages(filter=healthy) == [[]]
    assert (await registry.get()).renew_time.ToMilliseconds() == registry.clock.wall_ms() - TTL_MS
    assert await stream.beat(("a", 1)) == [""]
    assert await watch.next() == ("a", "HEALTHY"), "a reader hears of it"
    assert await registry.pages(filter=healthy) == [["a"]]
    before = registry.service.host.tip_seq
    assert await stream.beat(("a", 1)) == [""]
    assert registry.service.host.tip_seq == before


async def test_a_watch_filters_by_the_state_that_is_shown_after_the_leader_was_stopped(registry: Registry) -> None:
    """That everybody is unconfirmed by then is not announced; what becomes of each is."""
    await registry.register("a")
    await registry.register("b")
    stream = Heartbeats(registry)
    assert await stream.beat(("a", 1), ("b", 1)) == ["", ""]
    cursor = await registry.cursor()
    before = await registry.watch(filter=pb.AgentFilter(expression="state = HEALTHY")).standing()
    registry.clock.jump(TTL_MS)
    unconfirmed = pb.AgentFilter(states=[agent_pb2.Agent.STATE_UNCONFIRMED])
    resumed = await registry.watch(cursor, filter=pb.AgentFilter(expression="state = HEALTHY")).standing()
    lost = await registry.watch(filter=unconfirmed).standing()
    await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="b", cordoned=True))
    for watch in (before, resumed):  # what they were shown as healthy is no longer
        assert await watch.next() == ("b", "UNCONFIRMED")
    assert await lost.next() == ("b", "UNCONFIRMED")
    assert await stream.beat(("b", 1)) == [""]
    for watch in (before, resumed, lost):
        assert await watch.next() == ("b", "HEALTHY")
    await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="a"))
    for watch in (before, resumed, lost):
        assert await watch.next() == ("a", "DEREGISTERED")


async def test_metrics_show_agents_by_state_and_heartbeats_by_outcome(registry: Registry) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    renewed = value("tercio_registry_heartbeats_total", outcome="renewed")
    unknown = value("tercio_registry_heartbeats_total", outcome="not_found")
    await registry.register("a")
    await registry.register("b")
    assert await Heartbeats(registry).beat(("a", 1), ("nobody", 1)) == ["", "AGENT_NOT_FOUND"]
    assert value("tercio_registry_heartbeats_total", outcome="renewed") == renewed + 1
    assert value("tercio_registry_heartbeats_total", outcome="not_found") == unknown + 1
    await registry.clock.advance(INTERVAL_MS)
    assert value("tercio_registry_agents", state="healthy") == 2
    await registry.clock.advance(TTL_MS)
    assert (value("tercio_registry_agents", state="healthy"), value("tercio_registry_agents", state="gone")) == (0, 2)
