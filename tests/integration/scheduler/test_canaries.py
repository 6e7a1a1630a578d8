"""A deaf agent, which lives but does not take its work, is found by canaries and relieved, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from support.deaf_agent import deaf_agent
from support.registry import Heartbeats, Registry, running_registry
from support.scheduler_service import Scheduler, peers_at, running_scheduler
from tercio import Agent
from tercio.api.registry.v1 import health_pb2
from tercio.api.scheduler.v1 import task_service_pb2 as pb
from tercio_common.clock import SystemClock
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_registry.settings import RegistrySettings
from tercio_scheduler.settings import SchedulerSettings

SETTINGS = RegistrySettings(heartbeat_interval_ms=2_000, canary_interval_ms=300, canary_timeout_ms=300)
PATIENCE_MS = 30_000


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(clock=SystemClock())


@pytest.fixture
async def registry(store: MemoryStore) -> AsyncIterator[Registry]:
    async with running_registry(store, clock=SystemClock(), settings=SETTINGS) as running:
        yield running


@pytest.fixture
async def scheduler(store: MemoryStore, registry: Registry) -> AsyncIterator[Scheduler]:
    async with running_scheduler(
        store,
        clock=SystemClock(),
        peers=peers_at(registry.port),
        settings=SchedulerSettings(attempt_lease_ms=1_000),
    ) as running:
        yield running


async def reasons(registry: Registry, agent_id: str) -> list[int]:
    return list((await registry.get(agent_id)).health_reasons)


async def is_deaf(registry: Registry, agent_id: str = "deaf") -> bool:
    return await reasons(registry, agent_id) == [health_pb2.HEALTH_REASON_DEAF]


async def test_a_deaf_agent_is_found_and_its_work_goes_elsewhere(scheduler: Scheduler, registry: Registry) -> None:
    async with deaf_agent("deaf", registry=registry, scheduler_port=scheduler.port) as deaf:
        await eventually(lambda: "deaf" in scheduler.service.host.session.agents)
        await scheduler.submit("early")
        await eventually(lambda: is_deaf(registry), within_ms=PATIENCE_MS)
        assert await registry.state("deaf") == "DEGRADED"
        await eventually(lambda: "deaf" in scheduler.service.host.session.standings)
        await scheduler.submit("late")
        reply = await scheduler.tasks.ExplainTask(pb.ExplainTaskRequest(task_id="late"))
        assert "DEAF" in reply.candidates[0].obstacles
        async with scheduler.agent("other", concurrency=4, credit=4) as other:

            async def relieved() -> bool:
                await other.report()  # it says something, so its lease goes on
                return {each.task_id for each in other.attempts} == {"early", "late"}

            await eventually(relieved, within_ms=PATIENCE_MS)
        assert not deaf.done


async def test_a_deaf_agent_that_answers_again_gets_work_again(scheduler: Scheduler, registry: Registry) -> None:
    async with deaf_agent("deaf", registry=registry, scheduler_port=scheduler.port) as deaf:
        await eventually(lambda: is_deaf(registry), within_ms=PATIENCE_MS)
        await eventually(lambda: "deaf" in scheduler.service.host.session.standings)
        await scheduler.submit("t")
        deaf.hears.set()
        await eventually(lambda: "t" in deaf.done, within_ms=PATIENCE_MS)
        canaries = [each for each in deaf.done if each != "t"]
        assert len(canaries) >= SETTINGS.recovery_streak
        assert await registry.state("deaf") == "HEALTHY"


async def test_agents_that_answer_or_only_register_are_never_deaf(
    scheduler: Scheduler, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(result: str) -> float:
        return REGISTRY.get_sample_value("tercio_registry_canary_answers_total", {"result": result}) or 0.0

    monkeypatch.setenv("TERCIO_SCHEDULER_ADDRESS", f"127.0.0.1:{scheduler.port}")
    monkeypatch.setenv("TERCIO_REGISTRY_ADDRESS", f"127.0.0.1:{registry.port}")
    answered, absent = ended("succeeded"), ended("agent_gone")
    agent = Agent(agent_id="worker")
    agent.task("echo")(lambda task: task.payload)
    await registry.register("registrant")
    beats = Heartbeats(registry)
    running = asyncio.create_task(agent.run())
    try:

        async def asked_often() -> bool:
            await beats.beat(("registrant", 1))
            return ended("succeeded") >= answered + 5 and ended("agent_gone") >= absent + 5

        await eventually(asked_often, within_ms=PATIENCE_MS)
        assert [await reasons(registry, each) for each in ("worker", "registrant")] == [[], []]
        assert (await registry.get("worker")).health_report.memory_limit_bytes > 0
    finally:
        agent.stop()
        await asyncio.gather(running, return_exceptions=True)
