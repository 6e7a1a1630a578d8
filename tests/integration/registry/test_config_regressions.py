"""Whatever makes an agent worse than it was takes its new configuration back: what it reports, deafness, silence."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from support.registry import FIRST, TTL_MS, Heartbeats, Registry, running_registry
from tercio.api.registry.v1 import agent_config_pb2
from tercio.api.registry.v1 import config_service_pb2 as pb
from tercio.api.registry.v1 import registry_service_pb2 as registry_pb
from tercio.api.registry.v1.config_service_pb2_grpc import ConfigServiceStub
from tercio.api.registry.v1.health_pb2 import HealthReport
from tercio.api.type.v1.system_task_pb2 import SystemTask, SystemTaskOutcome
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_registry.settings import RegistrySettings

SETTINGS = RegistrySettings(heartbeat_interval_ms=1_000, canary_interval_ms=1_000, canary_timeout_ms=1_000)
BEATS = SETTINGS.failure_threshold
GOOD, BAD = '{"port":80}', '{"port":81}'


@pytest.fixture
async def registry(store: MemoryStore, clock: ManualClock) -> AsyncIterator[Registry]:
    async with running_registry(store, clock=clock, settings=SETTINGS) as running:
        yield running


class Patient:
    """An agent that takes every configuration, and gets worse when it is told to."""

    def __init__(self, registry: Registry, configs: Any) -> None:
        self.registry, self.configs = registry, configs
        self.given: list[str] = []
        self.is_deaf = False
        self._beats = Heartbeats(registry)

    async def beat(self, health: HealthReport | None = None) -> None:
        beat = registry_pb.HeartbeatRequest.Beat(agent_id="a", incarnation=1, health=health)
        await self._beats.call.write(registry_pb.HeartbeatRequest(beats=[beat]))
        await self._beats.receive()

    async def answer(self) -> None:
        """Answer what is asked of the agent, as the scheduler tells it."""
        async for message in self.registry.stub.WatchSystemTasks(registry_pb.WatchSystemTasksRequest()):
            if message.HasField("system_task"):
                outcome = self._outcome(message.system_task)
                await self.registry.stub.ReportSystemTasks(registry_pb.ReportSystemTasksRequest(outcomes=[outcome]))

    def _outcome(self, task: SystemTask) -> SystemTaskOutcome:
        assert (task.target_agent_id, task.target_instance_id) == ("a", FIRST)
        if task.kind == "tercio.canary":
            result = SystemTaskOutcome.RESULT_EXPIRED if self.is_deaf else SystemTaskOutcome.RESULT_SUCCEEDED
            return SystemTaskOutcome(system_task_id=task.system_task_id, result=result)
        document = task.input.partition(b"\n")[2]
        self.given.append(document.decode())
        output = json.dumps({"digest": hashlib.sha256(document).hexdigest()}).encode()
        return SystemTaskOutcome(
            system_task_id=task.system_task_id, result=SystemTaskOutcome.RESULT_SUCCEEDED, output=output
        )

    async def take(self, document: str, *, observe_s: int) -> None:
        request = pb.UpdateConfigRequest(agent_id="a", document=document)
        request.observe_duration.FromSeconds(observe_s)
        await self.configs.UpdateConfig(request)
        await eventually(lambda: self.given[-1:] == [document])

    async def revision(self, number: int) -> agent_config_pb2.ConfigRevision:
        found: pb.GetConfigResponse = await self.configs.GetConfig(pb.GetConfigRequest(agent_id="a", revision=number))
        return found.revision


@pytest.fixture
async def patient(registry: Registry) -> AsyncIterator[Patient]:
    await registry.register("a")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{registry.port}") as channel:
        patient = Patient(registry, ConfigServiceStub(channel))
        answering = asyncio.create_task(patient.answer())
        try:
            yield patient
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)


def reporting(health: HealthReport) -> Callable[[Patient], Awaitable[None]]:
    """Return how an agent gets worse that reports this."""

    async def ail(patient: Patient) -> None:
        for _ in range(BEATS):
            await patient.beat(health)

    return ail


async def go_deaf(patient: Patient) -> None:
    patient.is_deaf = True
    for _ in range(20):
        await patient.beat()
        await patient.registry.clock.advance(SETTINGS.heartbeat_interval_ms // 2)


async def fall_silent(patient: Patient) -> None:
    await patient.registry.clock.advance(TTL_MS // 2 + 100)


@pytest.mark.parametrize(
    ("worsen", "why"),
    [
        pytest.param(reporting(HealthReport(failed_attempts=5)), "attempts fail", id="errors"),
        pytest.param(reporting(HealthReport(memory_used_bytes=95, memory_limit_bytes=100)), "memory", id="memory"),
        pytest.param(reporting(HealthReport(disk_used_bytes=99, disk_total_bytes=100)), "disk", id="disk"),
        pytest.param(reporting(HealthReport(queue_length=9, queue_limit=9)), "queue", id="queue"),
        pytest.param(go_deaf, "does not answer", id="deaf"),
        pytest.param(fall_silent, "heartbeat", id="silent"),
    ],
)
async def test_an_agent_that_gets_worse_gets_the_former_configuration_back(
    patient: Patient, worsen: Callable[[Patient], Awaitable[None]], why: str
) -> None:
    await patient.beat()
    await patient.take(GOOD, observe_s=0)
    await eventually(lambda: _has_state(patient, 1, agent_config_pb2.ConfigRevision.STATE_ACTIVE))
    await patient.take(BAD, observe_s=600)
    await worsen(patient)
    await eventually(lambda: _has_state(patient, 2, agent_config_pb2.ConfigRevision.STATE_ROLLED_BACK))
    given_up = await patient.revision(2)
    assert given_up.reason == "CONFIG_REGRESSION"
    assert why in given_up.message
    await eventually(lambda: patient.given == [GOOD, BAD, GOOD])
    assert (await patient.revision(0)).restored_revision == 1


async def _has_state(patient: Patient, number: int, state: int) -> bool:
    with contextlib.suppress(grpc.aio.AioRpcError):
        return (await patient.revision(number)).state == state
    return False
