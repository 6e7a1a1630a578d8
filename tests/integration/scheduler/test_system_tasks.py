"""System tasks on their whole way: wanted by the registry, carried by the scheduler, answered by an agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from support.registry import Registry, running_registry
from support.scheduler_service import Scheduler, peers_at, running_scheduler
from tercio import Agent, Context
from tercio.api.scheduler.v1 import task_pb2
from tercio.api.scheduler.v1 import task_service_pb2 as pb
from tercio_common.clock import SystemClock
from tercio_common.journal.memory import MemoryStore
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.system_tasks import Result, SystemTaskOutcome, SystemTaskWanted
from tercio_common.testing.eventually import eventually
from tercio_registry.state.commands import OpenSystemTasks
from tercio_registry.state.machine import RegistryMachine


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(clock=SystemClock())


@pytest.fixture
async def registry(store: MemoryStore) -> AsyncIterator[Registry]:
    async with running_registry(store, clock=SystemClock()) as running:
        yield running


@pytest.fixture
async def scheduler(store: MemoryStore, registry: Registry) -> AsyncIterator[Scheduler]:
    async with running_scheduler(store, clock=SystemClock(), peers=peers_at(registry.port)) as running:
        yield running


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[SystemTaskOutcome]:
    """Collect what the registry is told."""
    told: list[SystemTaskOutcome] = []
    decide = RegistryMachine.decide

    def noting(self, command, at, session):  # type: ignore[no-untyped-def]
        told.extend(getattr(command, "outcomes", ()))
        return decide(self, command, at, session)

    monkeypatch.setattr(RegistryMachine, "decide", noting)
    return told


@asynccontextmanager
async def running_agent(agent: Agent) -> AsyncIterator[None]:
    running = asyncio.create_task(agent.run())
    try:
        await asyncio.wait_for(agent.ready(), 10)
        yield
    finally:
        agent.stop()
        await asyncio.gather(running, return_exceptions=True)


def want(registry: Registry, agent_id: str, *, kind: str = "tercio.canary", timeout: int = 5_000) -> str:
    command = OpenSystemTasks((SystemTaskWanted(kind, agent_id, timeout=timeout, input=b"nonce"),))
    (system_task_id,) = registry.service.host.propose(command, call=EFFECT).reply
    return str(system_task_id)


def agent_of(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, registry: Registry) -> Agent:
    monkeypatch.setenv("TERCIO_SCHEDULER_ADDRESS", f"127.0.0.1:{scheduler.port}")
    monkeypatch.setenv("TERCIO_REGISTRY_ADDRESS", f"127.0.0.1:{registry.port}")
    return Agent(agent_id="a", concurrency=1)


async def test_a_busy_agent_answers_a_canary(
    scheduler: Scheduler, registry: Registry, outcomes: list[SystemTaskOutcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = agent_of(scheduler, monkeypatch, registry)
    busy, free = asyncio.Event(), asyncio.Event()

    @agent.task("slow")
    async def slow(task: Context) -> None:
        busy.set()
        await free.wait()

    async with running_agent(agent):
        spec = task_pb2.TaskSpec(template=task_pb2.TaskTemplate(task_type="slow"))
        await scheduler.tasks.SubmitTasks(pb.SubmitTasksRequest(tasks=[spec]))
        await asyncio.wait_for(busy.wait(), 10)
        system_task_id = want(registry, "a")
        await eventually(lambda: outcomes)
        assert (outcomes[0].system_task_id, outcomes[0].result) == (system_task_id, Result.SUCCEEDED)
        assert outcomes[0].output == b"nonce"
        assert min(outcomes[0].wait, outcomes[0].run) >= 0
        tables = scheduler.service.host.machine.tables
        await eventually(lambda: not len(tables.outbox.table))
        assert not len(tables.carried)
        assert len(tables.tasks) == 1, "what was settled is forgotten"
        assert not len(registry.service.host.machine.system_tasks.table)
        free.set()


async def test_an_agent_that_is_not_there_is_told_apart(
    scheduler: Scheduler, registry: Registry, outcomes: list[SystemTaskOutcome]
) -> None:
    want(registry, "nobody", timeout=200)
    await eventually(lambda: outcomes)
    assert outcomes[0].result is Result.AGENT_GONE
    assert outcomes[0].run == -1


async def test_a_kind_that_an_agent_does_not_know_fails(
    scheduler: Scheduler, registry: Registry, outcomes: list[SystemTaskOutcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = agent_of(scheduler, monkeypatch, registry)
    agent.task("*")(lambda task: None)
    async with running_agent(agent):
        want(registry, "a", kind="tercio.unheard-of")
        await eventually(lambda: outcomes)
        assert (outcomes[0].result, outcomes[0].error_reason) == (Result.FAILED, "UNKNOWN_TASK_TYPE")


async def test_outcomes_reach_a_registry_that_was_away(store: MemoryStore, outcomes: list[SystemTaskOutcome]) -> None:
    async with running_registry(store, clock=SystemClock()) as registry:
        port = registry.port
        async with running_scheduler(store, clock=SystemClock(), peers=peers_at(port)) as scheduler:
            tables = scheduler.service.host.machine.tables
            want(registry, "nobody", timeout=60_000)
            await eventually(lambda: len(tables.carried))
    async with running_scheduler(store, clock=SystemClock(), peers=peers_at(port)) as scheduler:
        tables = scheduler.service.host.machine.tables
        assert len(tables.carried) == 1, "the next leader knows it"


async def test_system_tasks_are_listed_only_when_they_are_asked_for(scheduler: Scheduler, registry: Registry) -> None:
    want(registry, "nobody", timeout=60_000)
    await eventually(lambda: len(scheduler.service.host.machine.tables.carried))

    async def listed(task_type: str) -> list[str]:
        request = pb.ListTasksRequest(filter=pb.TaskFilter(task_type=task_type))
        reply = await scheduler.tasks.ListTasks(request)
        return [task.template.task_type for task in reply.tasks]

    assert await listed("") == []
    assert await listed("tercio.canary") == ["tercio.canary"]


async def test_nobody_else_submits_system_tasks(scheduler: Scheduler) -> None:
    spec = task_pb2.TaskSpec(template=task_pb2.TaskTemplate(task_type="tercio.canary"))
    with pytest.raises(grpc.aio.AioRpcError, match="for the fleet's own tasks"):
        await scheduler.tasks.SubmitTasks(pb.SubmitTasksRequest(tasks=[spec]))
