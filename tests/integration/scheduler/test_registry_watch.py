"""The scheduler heeds the registry's word, and works on without it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.registry import TTL_MS, Registry, running_registry
from support.scheduler_service import Scheduler, peers_at, running_scheduler
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_scheduler.state.session import Standing


@pytest.fixture
async def registry(store: MemoryStore, clock: ManualClock) -> AsyncIterator[Registry]:
    async with running_registry(store, clock=clock) as running:
        yield running


@pytest.fixture
async def scheduler(store: MemoryStore, clock: ManualClock, registry: Registry) -> AsyncIterator[Scheduler]:
    async with running_scheduler(store, clock=clock, peers=peers_at(registry.port)) as running:
        yield running


def standing(scheduler: Scheduler, agent_id: str) -> Standing | None:
    found: Standing | None = scheduler.service.host.session.standings.get(agent_id)
    return found


async def test_a_cordoned_agent_gets_nothing_until_it_is_uncordoned(scheduler: Scheduler, registry: Registry) -> None:
    await registry.register("a")
    await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="a", cordoned=True))
    await eventually(lambda: standing(scheduler, "a") == Standing(cordoned=True))
    async with scheduler.agent("a") as agent:
        await scheduler.submit("t")
        await agent.settled(await agent.report())
        assert not agent.attempts
        await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="a", cordoned=False))
        await agent.has(1)


async def test_what_happened_before_the_watch_counts(
    store: MemoryStore, clock: ManualClock, registry: Registry
) -> None:
    await registry.register("drained")
    await registry.register("left")
    await registry.stub.DrainAgent(pb.DrainAgentRequest(agent_id="drained"))
    await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="left"))
    async with running_scheduler(store, clock=clock, peers=peers_at(registry.port)) as scheduler:
        await eventually(lambda: standing(scheduler, "drained") == Standing(draining=True))
        assert standing(scheduler, "left") == Standing(gone=True)


async def test_a_gone_agent_may_work_again_after_it_registered(
    scheduler: Scheduler, registry: Registry, clock: ManualClock
) -> None:
    await registry.register("a")
    await clock.advance(2 * TTL_MS)
    await eventually(lambda: standing(scheduler, "a") == Standing(gone=True))
    await registry.register("a")
    await eventually(lambda: standing(scheduler, "a") is None)


async def test_the_last_view_is_kept_while_the_registry_is_away(store: MemoryStore, clock: ManualClock) -> None:
    async with running_registry(store, clock=clock) as registry:
        await registry.register("a")
        await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="a", cordoned=True))
        async with running_scheduler(store, clock=clock, peers=peers_at(registry.port)) as scheduler:
            await eventually(lambda: standing(scheduler, "a") == Standing(cordoned=True))
            await registry.service.host.drain()
            async with scheduler.agent("a") as cordoned, scheduler.agent("unknown") as other:
                await scheduler.submit("t")
                await other.has(1)
                assert not cordoned.attempts
            assert standing(scheduler, "a") == Standing(cordoned=True)


async def test_everything_attached_may_work_if_the_registry_was_never_reached(
    store: MemoryStore, clock: ManualClock
) -> None:
    async with (
        running_scheduler(store, clock=clock, peers=peers_at(9)) as scheduler,
        scheduler.agent("a") as agent,
    ):
        await scheduler.submit("t")
        await agent.has(1)
