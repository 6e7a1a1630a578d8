"""Everybody around a registry process: agents that beat, a scheduler that carries system tasks to them, and callers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc

from tercio.api.registry.v1 import audit_service_pb2, config_service_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.agent_config_pb2 import ConfigRevision
from tercio.api.registry.v1.audit_service_pb2_grpc import AuditServiceStub
from tercio.api.registry.v1.config_service_pb2_grpc import ConfigServiceStub
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio.api.type.v1 import system_task_pb2
from tercio_registry.state.documents import canonical, digest

Outcome = system_task_pb2.SystemTaskOutcome
INTERVAL_MS = 2_000
_BEAT_S = 0.2
_TIMEOUT_S = 20


class Surroundings:
    """Agents in their first incarnation, which keep what they run while the registry comes and goes."""

    def __init__(self, names: Sequence[str], *, refusing: str = "") -> None:
        """`refusing` takes no configuration that has a `bad` member."""
        self.names, self.refusing = names, refusing
        self.running: dict[str, tuple[int, str]] = {}
        """The revision and the document that each agent runs."""
        self.went_back = False
        """An agent was sent something older than it ran."""

    def take(self, task: system_task_pb2.SystemTask) -> Outcome:
        """Do what an agent does that is asked this: numbers only rise, and what it runs it tells by its digest."""
        if task.kind != "tercio.configure":
            return Outcome(system_task_id=task.system_task_id, result=Outcome.RESULT_SUCCEEDED)
        number, _, document = task.input.decode().partition("\n")
        name = task.target_agent_id
        if name == self.refusing and "bad" in json.loads(document):
            return Outcome(
                system_task_id=task.system_task_id,
                result=Outcome.RESULT_FAILED,
                error_reason="NO",
                error_message="it does not want it",
            )
        self.went_back = self.went_back or int(number) < self.running.get(name, (0, ""))[0]
        self.running[name] = int(number), document
        output = json.dumps({"digest": digest(canonical(json.loads(document)))}).encode()
        return Outcome(system_task_id=task.system_task_id, result=Outcome.RESULT_SUCCEEDED, output=output)


class Client:
    """One connection to one registry process, with all that goes on beside the calls of a test."""

    def __init__(self, port: int, around: Surroundings) -> None:
        self._around = around
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self.agents, self.configs = RegistryServiceStub(self._channel), ConfigServiceStub(self._channel)
        self._audit = AuditServiceStub(self._channel)
        self._beside: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Client:
        self._beside = [asyncio.create_task(_while_it_lives(each)) for each in (self._beat, self._carry_out)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        await self._channel.close()

    async def register_all(self) -> None:
        """Register every agent; the same process each time."""
        for name in self._around.names:
            request = pb.RegisterAgentRequest(
                request_id=f"register-{name}", agent_id=name, identity_secret=b"s" * 16, instance_id=b"i" * 16
            )
            await self.agents.RegisterAgent(request, wait_for_ready=True, timeout=_TIMEOUT_S)

    async def revisions(self, name: str) -> list[tuple[int, str, str]]:
        """Return number, state and document of each revision of an agent, the newest first."""
        request = config_service_pb2.ListConfigRevisionsRequest(agent_id=name)
        found = (await self.configs.ListConfigRevisions(request, timeout=_TIMEOUT_S)).revisions
        return [(each.revision, ConfigRevision.State.Name(each.state)[6:], each.document) for each in found]

    async def open_tasks(self) -> list[str]:
        """Return the kinds of what agents are still asked to do, with which a watch begins."""
        call: Any = self.agents.WatchSystemTasks(pb.WatchSystemTasksRequest())
        found = []
        while (message := await call.read()).HasField("system_task"):
            found.append(message.system_task.kind)
        call.cancel()
        return found

    async def audited(self, request_id: str) -> int:
        """Return how many audit events a request left."""
        request = audit_service_pb2.ListAuditEventsRequest(page_size=1_000)
        request.filter.request_id = request_id
        return len((await self._audit.ListAuditEvents(request, timeout=_TIMEOUT_S)).events)

    async def _beat(self) -> None:
        stream = self.agents.Heartbeat()
        beats = [pb.HeartbeatRequest.Beat(agent_id=name, incarnation=1) for name in self._around.names]
        while True:
            await stream.write(pb.HeartbeatRequest(beats=beats))
            await stream.read()
            await asyncio.sleep(_BEAT_S)

    async def _carry_out(self) -> None:
        watch = self.agents.WatchSystemTasks(pb.WatchSystemTasksRequest(), wait_for_ready=True)
        async for message in watch:
            if message.HasField("system_task"):
                outcome = self._around.take(message.system_task)
                await self.agents.ReportSystemTasks(pb.ReportSystemTasksRequest(outcomes=[outcome]))


async def _while_it_lives(work: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(grpc.aio.AioRpcError):
        await work()
