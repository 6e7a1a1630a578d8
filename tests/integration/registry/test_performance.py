"""What agents count goes with their heartbeats, and is served once it is recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from prometheus_client import REGISTRY

from support.registry import SECOND, Heartbeats, Registry, fields_of, reason_of, running_registry
from tercio.api.registry.v1 import performance_pb2, registry_service_pb2
from tercio.api.registry.v1 import performance_service_pb2 as pb
from tercio.api.registry.v1.performance_service_pb2_grpc import PerformanceServiceStub
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_registry.settings import RegistrySettings

FLUSH_MS = 500
SETTINGS = RegistrySettings(heartbeat_interval_ms=1_000, retention_ms=60_000, performance_flush_ms=FLUSH_MS)


@pytest.fixture
async def registry(store: MemoryStore, clock: ManualClock) -> AsyncIterator[Registry]:
    async with running_registry(store, clock=clock, settings=SETTINGS) as running:
        yield running


def totals(**types: tuple[int, int, int]) -> performance_pb2.TaskTotals:
    succeeded, failed, run_micros = zip(*types.values(), strict=True)
    return performance_pb2.TaskTotals(task_types=types, succeeded=succeeded, failed=failed, run_micros=run_micros)


async def count(registry: Registry, agent_id: str, incarnation: int = 1, **types: tuple[int, int, int]) -> None:
    stream = Heartbeats(registry)
    beat = registry_service_pb2.HeartbeatRequest.Beat(
        agent_id=agent_id, incarnation=incarnation, active_attempts=1, totals=totals(**types)
    )
    await stream.call.write(registry_service_pb2.HeartbeatRequest(beats=[beat]))
    assert [answer.reason for answer in (await stream.receive()).answers] == [""]
    stream.call.cancel()


async def flush(registry: Registry) -> None:
    while len(registry.service.host.session.counting):
        await registry.clock.advance(FLUSH_MS)


async def get(registry: Registry, agent_id: str = "a") -> performance_pb2.AgentPerformance:
    async with grpc.aio.insecure_channel(registry.service.host.address) as channel:
        request = pb.GetAgentPerformanceRequest(agent_id=agent_id)
        reply: pb.GetAgentPerformanceResponse = await PerformanceServiceStub(channel).GetAgentPerformance(request)
    return reply.performance


async def listed(registry: Registry, **fields: object) -> list[str]:
    found, token = [], ""
    async with grpc.aio.insecure_channel(registry.service.host.address) as channel:
        while True:
            request = pb.ListAgentPerformanceRequest(page_token=token, **fields)
            reply = await PerformanceServiceStub(channel).ListAgentPerformance(request)
            found += [each.agent_id for each in reply.performances]
            if not (token := reply.next_page_token):
                return found


async def test_what_beats_count_is_served_and_survives_the_leader(
    registry: Registry, store: MemoryStore, clock: ManualClock
) -> None:
    await registry.register(concurrency=2)
    await count(registry, "a", build=(3, 1, 6_000), test=(0, 2, 0))
    await count(registry, "a", build=(3, 1, 6_000), test=(0, 2, 0))
    await flush(registry)
    shown = await get(registry)
    assert [(each.task_type, each.succeeded, each.failed) for each in shown.task_types] == [
        ("build", 3, 1),
        ("test", 0, 2),
    ]
    assert (shown.task_types[0].success_ratio, shown.task_types[0].score) == (0.75, 0.75)
    assert shown.task_types[0].average_duration.ToMicroseconds() == 2_000
    assert (shown.utilization_ratio, shown.active_attempts, shown.succeeded, shown.failed) == (0.5, 1, 3, 3)
    assert shown.success_ratio == 0.5
    await registry.service.host.drain()
    async with running_registry(store, clock=clock, settings=SETTINGS) as successor:
        await count(successor, "a", build=(3, 1, 6_000), test=(0, 2, 0))
        await flush(successor)
        assert (await get(successor)).task_types == shown.task_types


async def test_heartbeats_themselves_are_not_recorded_and_one_record_is_for_many_agents(registry: Registry) -> None:
    for number in range(50):
        await registry.register(f"a{number}")
    before = registry.service.host.tip_seq
    for number in range(50):
        await count(registry, f"a{number}", t=(1, 0, 1_000))
    assert registry.service.host.tip_seq == before
    await flush(registry)
    assert registry.service.host.tip_seq == before + 1
    assert (await get(registry, "a49")).succeeded == 1


async def test_a_watch_hears_of_a_score_that_moved(registry: Registry) -> None:
    await registry.register()
    watch = await registry.watch().standing()
    await count(registry, "a", t=(1, 0, 1_000))
    await flush(registry)
    while not (message := await watch.message()).agent.performance_scores:
        pass
    assert dict(message.agent.performance_scores) == {"t": 100}
    watch.call.cancel()


async def test_a_list_can_be_of_one_type_and_in_pages(registry: Registry) -> None:
    for agent_id in ("a", "b", "c"):
        await registry.register(agent_id)
    await count(registry, "a", t=(1, 0, 1))
    await count(registry, "c", t=(1, 0, 1), u=(1, 0, 1))
    await flush(registry)
    assert await listed(registry, page_size=1) == ["a", "b", "c"]
    assert await listed(registry, task_type="t", page_size=1) == ["a", "c"]
    assert await listed(registry, task_type="u") == ["c"]


async def test_transitions_are_served_with_the_agent(registry: Registry) -> None:
    await registry.register()
    await registry.register(instance_id=SECOND)
    reply = await registry.stub.GetAgent(registry_service_pb2.GetAgentRequest(agent_id="a"))
    assert [(each.incarnation, each.reason) for each in reply.transitions] == [(1, "registered"), (2, "registered")]
    assert all(each.HasField("time") for each in reply.transitions)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (performance_pb2.TaskTotals(task_types=["t"], failed=[1], run_micros=[1]), "beats[0].totals.succeeded"),
        (
            performance_pb2.TaskTotals(task_types=["t"], succeeded=[1 << 63], failed=[1], run_micros=[1]),
            "beats[0].totals.succeeded",
        ),
        (
            performance_pb2.TaskTotals(task_types=["t", "t"], succeeded=[1, 1], failed=[1, 1], run_micros=[1, 1]),
            "beats[0].totals.task_types",
        ),
        (
            performance_pb2.TaskTotals(task_types=[""], succeeded=[1], failed=[1], run_micros=[1]),
            "beats[0].totals.task_types[0]",
        ),
    ],
    ids=["a short column", "too large", "a type twice", "no name"],
)
async def test_wrong_totals_are_refused(registry: Registry, wrong: performance_pb2.TaskTotals, field: str) -> None:
    await registry.register()
    stream = Heartbeats(registry)
    beat = registry_service_pb2.HeartbeatRequest.Beat(agent_id="a", incarnation=1, totals=wrong)
    await stream.call.write(registry_service_pb2.HeartbeatRequest(beats=[beat]))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stream.call.read()
    assert (reason_of(refused.value), fields_of(refused.value)) == ("INVALID_ARGUMENT", [field])


async def test_an_unknown_agent_has_no_performance(registry: Registry) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await get(registry)
    assert reason_of(refused.value) == "AGENT_NOT_FOUND"


def series(name: str, agent_id: str) -> float | None:
    return REGISTRY.get_sample_value(f"tercio_registry_agent_{name}", {"agent": agent_id})


async def test_a_small_fleet_has_series_of_single_agents(registry: Registry) -> None:
    await registry.register(concurrency=4)
    await count(registry, "a", t=(3, 1, 6_000))
    await flush(registry)
    await registry.clock.advance(1_000)
    await eventually(lambda: series("success_ratio", "a") == 0.75)
    assert series("utilization_ratio", "a") == 0.25
    assert series("active_attempts", "a") == 1
    assert series("queue_length", "a") == 0
    assert series("average_duration_seconds", "a") == 0.002


async def test_a_large_fleet_has_none(store: MemoryStore, clock: ManualClock) -> None:
    settings = RegistrySettings(heartbeat_interval_ms=1_000, retention_ms=60_000, agent_series=1)
    async with running_registry(store, clock=clock, settings=settings) as registry:
        await registry.register("a")
        await clock.advance(1_000)
        await eventually(lambda: series("utilization_ratio", "a") == 0)
        await registry.register("b")
        await clock.advance(1_000)
        await eventually(lambda: series("utilization_ratio", "a") is None)
