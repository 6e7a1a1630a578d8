"""Tasks that need resources, with both services behind real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from support.resources import Resources, running_resources
from support.scheduler_service import SECOND, Scheduler, ScriptedAgent, running_scheduler
from tercio import Agent, Context
from tercio.api.resources.v1 import pool_pb2, quota_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.scheduler.v1 import task_service_pb2 as task_api
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio.usage import UsageReports
from tercio_common.clock import SystemClock
from tercio_common.journal.memory import MemoryStore
from tercio_common.peers import Peers
from tercio_common.testing.eventually import eventually
from tercio_scheduler.settings import SchedulerSettings

_FREE = 900
"""Of the pool; the rest is for emergencies."""


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(clock=SystemClock())


@pytest.fixture
async def resources(store: MemoryStore) -> AsyncIterator[Resources]:
    async with running_resources(store, clock=SystemClock()) as running:
        yield running


@pytest.fixture
async def scheduler(store: MemoryStore, resources: Resources) -> AsyncIterator[Scheduler]:
    async with running_scheduler(store, clock=SystemClock(), peers=_peers(resources)) as running:
        yield running


def _peers(resources: Resources) -> Peers:
    return Peers(addresses={"resources": f"127.0.0.1:{resources.port}"})


async def _granted(resources: Resources) -> int:
    return (await resources.pool()).granted


async def test_no_more_runs_than_the_pool_can_feed(scheduler: Scheduler, resources: Resources) -> None:
    task_ids = [f"t{number}" for number in range(7)]
    async with scheduler.agent() as agent:
        await scheduler.submit(*task_ids, resources={"cpu": 300})
        for number in range(len(task_ids)):
            attempts = await agent.has(number + 1)
            assert await _granted(resources) <= _FREE
            assert len(attempts) - number <= _FREE // 300
            await agent.succeed(attempts[number])
        for task_id in task_ids:
            await scheduler.reaches(task_id, "SUCCEEDED")
    await eventually(lambda: _is_empty(resources))


async def _is_empty(resources: Resources) -> bool:
    return await _granted(resources) == 0


async def test_a_refused_task_says_what_is_missing_and_runs_when_the_pool_grows(
    scheduler: Scheduler, resources: Resources
) -> None:
    await resources.update(capacity=300)
    async with scheduler.agent() as agent:
        await scheduler.submit("big", resources={"cpu": 700})

        await eventually(lambda: _gaps(scheduler))
        (gap,) = await _gaps(scheduler)
        assert (gap.dimension, gap.required, gap.available, gap.bound) == ("cpu", 700, 200, "pool")
        assert await scheduler.state("big") == "ADMITTING"
        await resources.update(capacity=1_000)
        await agent.has(1)


async def _gaps(scheduler: Scheduler) -> list[task_api.ExplainTaskResponse.Gap]:
    reply = await scheduler.tasks.ExplainTask(task_api.ExplainTaskRequest(task_id="big"))
    return list(reply.missing_resources)


async def test_tenant_pools_and_type_of_a_task_go_along(scheduler: Scheduler, resources: Resources) -> None:
    pool = pool_pb2.Pool(pool_id="gpu", dimension="cpu", capacity=500, labels={"kind": "gpu"})
    quota = quota_pb2.Quota(tenant="t", limits=[ResourceAmount(dimension="cpu", amount=300)])
    await resources.stub.CreatePool(pb.CreatePoolRequest(request_id="p", pool=pool))
    await resources.stub.SetQuota(pb.SetQuotaRequest(request_id="q", quota=quota))
    async with scheduler.agent() as agent:
        options: dict[str, Any] = {"tenant": "t", "pool_labels": {"kind": "gpu"}, "resources": {"cpu": 200}}
        await scheduler.submit("first", **options)
        await agent.has(1)
        (held,) = await resources.listed()
        assert (held.tenant, [part.pool_id for part in held.parts]) == ("t", ["gpu"])
        await scheduler.submit("big", **options)
        await eventually(lambda: _gaps(scheduler))
        (gap,) = await _gaps(scheduler)
        assert (gap.available, gap.bound, gap.most) == (100, "quota", 300)


async def test_an_attempt_whose_grant_is_gone_is_taken_from_its_agent(store: MemoryStore, resources: Resources) -> None:
    settings = SchedulerSettings(grant_renewal_ms=100)
    async with (
        running_scheduler(store, clock=SystemClock(), peers=_peers(resources), settings=settings) as scheduler,
        scheduler.agent() as agent,
    ):
        await scheduler.submit("t", resources={"cpu": 300})
        (first,) = await agent.has(1)
        await agent.start(first)
        (held,) = await resources.listed()
        await resources.release(held.allocation_id)
        await eventually(lambda: first.key in agent.cancelled)
        _, second = await agent.has(2)
        assert (second.epoch, second.number) > (first.epoch, first.number)
        (held,) = await resources.listed()
        assert held.owner == f"t@{second.epoch[0]}.{second.epoch[1]}.{second.number}"
        await agent.succeed(second)
        await eventually(lambda: _is_empty(resources))


async def test_a_cancelled_task_gives_back_what_it_held(scheduler: Scheduler, resources: Resources) -> None:
    async with scheduler.agent() as agent:
        await scheduler.submit("t", resources={"cpu": 300})
        await agent.has(1)
        assert await _granted(resources) == 300
        await scheduler.tasks.CancelTask(task_api.CancelTaskRequest(request_id="c", task_id="t"))
        await agent.cut()
    async with scheduler.agent(instance_id=SECOND):
        await eventually(lambda: _is_empty(resources))


async def test_the_next_leader_keeps_what_runs_and_tries_the_rest_anew(
    store: MemoryStore, resources: Resources
) -> None:
    clock = SystemClock()
    async with running_scheduler(store, clock=clock, peers=_peers(resources)) as first, first.agent() as agent:
        await first.submit("runs", "waits", resources={"cpu": 600})
        (attempt,) = await agent.has(1)
        await agent.start(attempt)
    async with running_scheduler(store, clock=clock, peers=_peers(resources)) as second:
        agent = ScriptedAgent(second, "a")
        try:
            await agent.connect(started=[attempt])
            (held,) = await resources.listed()
            assert held.owner.startswith(f"{attempt.task_id}@")
            await agent.succeed(attempt)
            (other,) = await agent.has(1)
            assert other.task_id != attempt.task_id
            await agent.succeed(other)
            await eventually(lambda: _is_empty(resources))
        finally:
            await agent.cut()


async def test_what_attempts_use_is_reported_and_learned(
    scheduler: Scheduler, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERCIO_SCHEDULER_ADDRESS", f"127.0.0.1:{scheduler.port}")
    monkeypatch.setenv("TERCIO_RESOURCES_ADDRESS", f"127.0.0.1:{resources.port}")
    monkeypatch.setenv("TERCIO_REGISTRY_ADDRESS", "127.0.0.1:9")
    monkeypatch.setattr("tercio.agent.UsageReports", partial(UsageReports, report_s=0.1))
    tables = resources.service.host.machine.tables
    agent, reported = Agent(agent_id="a"), asyncio.Event()

    async def compute(_context: Context) -> None:
        while not reported.is_set():
            sum(range(10_000))
            await asyncio.sleep(0)

    agent.task("echo")(compute)
    running = asyncio.create_task(agent.run())
    try:
        await scheduler.submit("t", resources={"cpu": 700})
        await eventually(lambda: any(row.used[0].peak > 100 for row in tables.usages.values()))
        ((dimension, granted, used),) = tables.used.efficiencies()
        assert (dimension, granted) == ("cpu", 700)
        assert used > 0
        reported.set()
        await scheduler.reaches("t", "SUCCEEDED")
        await eventually(lambda: "echo" in tables.histories)
        assert dict(tables.histories["echo"].tasks[0].peaks)["cpu"] > 100
    finally:
        agent.stop()
        await asyncio.gather(running, return_exceptions=True)


async def test_renewals_are_confirmed_while_the_grants_are_renewed(scheduler: Scheduler) -> None:
    async with scheduler.agent() as agent:
        assert agent.responses[0].resource_lease_ms == 45_000
        await scheduler.submit("t", resources={"cpu": 300})
        await agent.has(1)
        await agent.say(renew=True, renewal_number=3)
        await eventually(lambda: [each.confirmed_renewal for each in agent.responses if each.confirmed_renewal] == [3])


async def test_an_agent_ends_what_holds_resources_when_nobody_renews_them(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SchedulerSettings(attempt_lease_ms=1_000, granted_lease_ms=1_500, grant_renewal_ms=200)
    clock, began = SystemClock(), asyncio.Event()

    async def hold(_context: Context) -> None:
        began.set()
        await asyncio.Event().wait()

    async with AsyncExitStack() as first, AsyncExitStack() as rest:
        resources = await first.enter_async_context(running_resources(store, clock=clock))
        scheduler = await rest.enter_async_context(
            running_scheduler(store, clock=clock, peers=_peers(resources), settings=settings)
        )
        monkeypatch.setenv("TERCIO_SCHEDULER_ADDRESS", f"127.0.0.1:{scheduler.port}")
        monkeypatch.setenv("TERCIO_REGISTRY_ADDRESS", "127.0.0.1:9")
        agent = Agent(agent_id="a")
        agent.task("echo")(hold)
        running = asyncio.create_task(agent.run())
        try:
            await scheduler.submit("t", resources={"cpu": 300}, retry={"max_attempts": 1})
            await asyncio.wait_for(began.wait(), 10)
            await first.aclose()
            task = await scheduler.reaches("t", "DEAD_LETTER")
            assert [error.reason for error in task.errors] == ["LEASE_ENDED"]
        finally:
            agent.stop()
            await asyncio.gather(running, return_exceptions=True)
