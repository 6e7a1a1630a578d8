"""What agents require, reserved with a real resources service from their registration to their end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from support.registry import FIRST, SECOND, SETTINGS, Registry, detail_of, info_of, reason_of, running_registry
from support.resources import Resources, running_resources
from tercio.api.registry.v1 import health_pb2, registration_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio_common.clock import SystemClock
from tercio_common.journal.memory import MemoryStore
from tercio_common.peers import Peers
from tercio_common.testing.eventually import eventually
from tercio_registry.effects import reserve
from tercio_registry.settings import RegistrySettings
from tercio_registry.state.commands import RegisterAgent

CLOCK = SystemClock()
RESERVING = RegistrySettings.model_validate(
    SETTINGS.model_dump()
    | {
        "heartbeat_interval_ms": 60_000,
        "retention_ms": 600_000,
        "reservations": {"renew_ms": 100, "call_timeout_ms": 1_500, "ttl_ms": 5_000},
    }
)
RESERVATION_LOST = health_pb2.HEALTH_REASON_RESERVATION_LOST
Deregistration = registration_pb2.DeregistrationReport


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(clock=CLOCK)


@pytest.fixture
async def resources(store: MemoryStore) -> AsyncIterator[Resources]:
    async with running_resources(store, clock=CLOCK) as running:
        yield running


@pytest.fixture
async def registry(store: MemoryStore, resources: Resources) -> AsyncIterator[Registry]:
    async with running_registry(store, clock=CLOCK, settings=RESERVING, peers=peers(resources)) as running:
        yield running


def peers(resources: Resources) -> Peers:
    return Peers(addresses={"resources": f"127.0.0.1:{resources.port}"})


def cpu(amount: int) -> list[ResourceAmount]:
    return [ResourceAmount(dimension="cpu", amount=amount)]


async def held(resources: Resources) -> dict[str, int]:
    """Return what each owner holds."""
    return {each.owner: each.parts[0].amount.amount for each in await resources.listed()}


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert reason_of(caught.value) == "RESOURCE_ALLOCATION_FAILED"
    return caught.value


async def reaches(registry: Registry, state: str, *reasons: int) -> None:
    async def has() -> bool:
        agent = await registry.get()
        return await registry.state() == state and list(agent.health_reasons) == list(reasons)

    await eventually(has)


async def holds(resources: Resources, expected: dict[str, int]) -> None:
    async def does() -> bool:
        return await held(resources) == expected

    await eventually(does)


def owner_of(reply: pb.RegisterAgentResponse) -> str:
    return f"registration/{reply.report.registration_id}"


async def test_an_agent_holds_what_it_requires_until_it_leaves(registry: Registry, resources: Resources) -> None:
    reply = await registry.register(resource_requirements=cpu(300))
    (allocation,) = await resources.listed()
    assert (allocation.owner, allocation.parts[0].amount.amount, allocation.priority) == (owner_of(reply), 300, 9)
    assert list(reply.reservation.amounts) == cpu(300)
    assert reply.report.phases[2].detail == f"reserved 300 of cpu, as allocation {allocation.allocation_id}"

    left = await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="a"))
    assert await held(resources) == {}
    part = left.report.parts[1]
    assert (part.part, part.outcome) == (Deregistration.PART_RESOURCES, Deregistration.OUTCOME_COMPLETED)
    assert part.detail == "what was reserved is given back"


async def test_the_next_process_of_an_agent_holds_in_place_of_the_former(
    registry: Registry, resources: Resources
) -> None:
    await registry.register(resource_requirements=cpu(300))
    second = await registry.register(instance_id=SECOND, resource_requirements=cpu(200))
    await holds(resources, {owner_of(second): 200})


async def test_the_next_process_keeps_the_reservation_where_two_would_not_fit(
    registry: Registry, resources: Resources
) -> None:
    first = await registry.register(resource_requirements=cpu(700))
    for instance in (SECOND, b"3" * 16):
        reply = await registry.register(instance_id=instance, resource_requirements=cpu(700))
        assert reply.report.phases[2].detail.startswith("it keeps what the agent had reserved before")
        assert list(reply.reservation.amounts) == cpu(700)
    await eventually(lambda: len(registry.service.host.machine.obligations.table) == 2)
    assert await held(resources) == {owner_of(first): 700}
    await refused(registry.register(instance_id=FIRST, resource_requirements=cpu(701)))
    await reaches(registry, "HEALTHY")
    assert await held(resources) == {owner_of(first): 700}
    await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="a"))
    assert await held(resources) == {}
    assert not registry.service.host.machine.obligations.table


async def test_another_agent_keeps_nothing_of_what_it_does_not_own(registry: Registry, resources: Resources) -> None:
    first = await registry.register(resource_requirements=cpu(700))
    await refused(registry.register(identity_secret=b"x" * 16, instance_id=SECOND, resource_requirements=cpu(700)))
    assert await held(resources) == {owner_of(first): 700}


async def test_a_reservation_that_ends_while_the_next_process_joins_is_not_kept(
    registry: Registry, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former process leaves between the decision to keep what it reserved and the record."""
    await registry.register(resource_requirements=cpu(700))
    host = registry.service.host
    plain = host.execute

    async def execute(command: Any, **rest: Any) -> bytes:
        if isinstance(command, RegisterAgent):
            monkeypatch.setattr(host, "execute", plain)
            await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="a"))
        return await plain(command, **rest)

    monkeypatch.setattr(host, "execute", execute)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await registry.register(instance_id=SECOND, resource_requirements=cpu(700))
    assert reason_of(caught.value) == "REGISTRATION_EXCEPTION"
    await eventually(lambda: not host.machine.obligations.table)
    assert await held(resources) == {}
    again = await registry.register(instance_id=SECOND, resource_requirements=cpu(700))
    assert await held(resources) == {owner_of(again): 700}


async def test_what_does_not_fit_is_refused_with_its_gap_and_leaves_nothing(
    registry: Registry, resources: Resources
) -> None:
    first = await registry.register("first", resource_requirements=cpu(700))
    error = await refused(registry.register(resource_requirements=cpu(300)))
    facts = info_of(error).metadata
    assert [facts[f"cpu.{each}"] for each in ("required", "available", "gap", "bound")] == ["300", "200", "100", "pool"]
    assert facts["issues"] == "cpu is short by 100: 200 of 300 are free (pool)"
    assert facts["cause"] == "INSUFFICIENT_RESOURCES"
    report = detail_of(error, registration_pb2.RegistrationReport)
    assert report.phases[-1].outcome == registration_pb2.RegistrationReport.OUTCOME_FAILED
    assert await held(resources) == {owner_of(first): 700}
    assert [row.stage.name for row in registry.service.host.machine.obligations.table.values()] == ["HELD"]


async def test_one_agent_may_reserve_no_more_than_one_owner_may_hold(registry: Registry) -> None:
    error = await refused(registry.register(resource_requirements=cpu(801)))
    assert info_of(error).metadata["cause"] == "RESOURCE_LIMIT_EXCEEDED"


async def test_a_dimension_without_a_pool_is_refused_by_its_name(registry: Registry) -> None:
    error = await refused(registry.register(resource_requirements=[ResourceAmount(dimension="tokens", amount=1)]))
    assert "tokens" in info_of(error).metadata["issues"]


async def test_a_lost_reservation_is_shown_and_made_anew(registry: Registry, resources: Resources) -> None:
    reply = await registry.register(resource_requirements=cpu(300))
    watch = await registry.watch(await registry.cursor()).standing()
    await resources.update(fenced=True)
    (allocation,) = await resources.listed()
    await resources.release(allocation.allocation_id)
    assert await watch.next() == ("a", "DEGRADED")
    await reaches(registry, "DEGRADED", RESERVATION_LOST)
    await resources.update(fenced=False)
    assert await watch.next() == ("a", "HEALTHY")
    await reaches(registry, "HEALTHY")
    assert await held(resources) == {owner_of(reply): 300}
    watch.call.cancel()


async def test_several_lost_reservations_are_made_anew_as_far_as_they_fit(
    registry: Registry, resources: Resources
) -> None:
    small, large = [await registry.register(each, resource_requirements=cpu(300)) for each in ("small", "large")]
    await resources.update(fenced=True)
    for each in await resources.listed():
        await resources.release(each.allocation_id)
    await eventually(lambda: len(registry.service.host.machine.reservations.lost()) == 2)
    await resources.update(capacity=500, fenced=False)
    await eventually(lambda: len(registry.service.host.machine.reservations.lost()) == 1)
    assert set(await held(resources)) < {owner_of(small), owner_of(large)}
    await resources.update(capacity=1_000)
    await holds(resources, {owner_of(small): 300, owner_of(large): 300})


async def test_what_does_not_fit_keeps_nobody_from_being_made_anew(
    registry: Registry, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserve, "_AT_ONCE", 1)
    for name, amount in (("large", 500), ("small", 300)):
        await registry.register(name, resource_requirements=cpu(amount))
    await resources.update(fenced=True)
    large, small = sorted(await resources.listed(), key=lambda each: -each.parts[0].amount.amount)
    await resources.release(large.allocation_id)
    await eventually(lambda: len(registry.service.host.machine.reservations.lost()) == 1)
    await resources.release(small.allocation_id)
    await eventually(lambda: len(registry.service.host.machine.reservations.lost()) == 2)
    await resources.update(capacity=400, fenced=False)
    await holds(resources, {small.owner: 300})


async def test_the_next_leader_renews_what_the_former_reserved(store: MemoryStore, resources: Resources) -> None:
    async with running_registry(store, clock=CLOCK, settings=RESERVING, peers=peers(resources)) as first:
        reply = await first.register(resource_requirements=cpu(300))
    async with running_registry(store, clock=CLOCK, settings=RESERVING, peers=peers(resources)) as second:
        await second.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="a"))
        assert await held(resources) == {}
        with pytest.raises(grpc.aio.AioRpcError, match="released"):
            await resources.allocate(owner_of(reply))


async def test_the_next_leader_of_resources_keeps_renews_and_releases() -> None:
    shared = MemoryStore(clock=CLOCK)
    async with AsyncExitStack() as first, AsyncExitStack() as rest:
        resources = await first.enter_async_context(running_resources(shared, clock=CLOCK))
        other = await rest.enter_async_context(running_resources(shared, clock=CLOCK, leads=False))
        both = Peers(addresses={"resources": f"127.0.0.1:{resources.port},127.0.0.1:{other.port}"})
        registry = await rest.enter_async_context(
            running_registry(MemoryStore(clock=CLOCK), clock=CLOCK, settings=RESERVING, peers=both)
        )
        reply = await registry.register(resource_requirements=cpu(300))
        (before,) = await resources.listed()
        await first.aclose()
        await eventually(lambda: other.service.host.leading, within_ms=30_000)
        (after,) = await other.listed()
        assert (after.allocation_id, after.owner) == (before.allocation_id, owner_of(reply))
        await reaches(registry, "HEALTHY")
        await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="a"))
        await holds(other, {})


async def test_a_new_resources_service_that_knows_nothing_is_asked_anew() -> None:
    """Its store was lost: everything is reserved again without anybody doing anything."""
    async with AsyncExitStack() as first, AsyncExitStack() as rest:
        resources = await first.enter_async_context(running_resources(MemoryStore(clock=CLOCK), clock=CLOCK))
        other = await rest.enter_async_context(running_resources(MemoryStore(clock=CLOCK), clock=CLOCK))
        both = Peers(addresses={"resources": f"127.0.0.1:{resources.port},127.0.0.1:{other.port}"})
        registry = await rest.enter_async_context(
            running_registry(MemoryStore(clock=CLOCK), clock=CLOCK, settings=RESERVING, peers=both)
        )
        reply = await registry.register(resource_requirements=cpu(300))
        assert await held(resources) == {owner_of(reply): 300}
        await first.aclose()
        await holds(other, {owner_of(reply): 300})
        await reaches(registry, "HEALTHY")


async def test_without_the_resources_service_only_those_who_require_nothing_join(store: MemoryStore) -> None:
    absent = Peers(addresses={"resources": "127.0.0.1:9"})
    async with running_registry(store, clock=CLOCK, settings=RESERVING, peers=absent) as registry:
        reply = await registry.register("free")
        assert reply.report.phases[2].detail == "it requires nothing, so nothing is reserved"
        assert not reply.reservation.amounts
        error = await refused(registry.register(resource_requirements=cpu(1)))
        assert info_of(error).metadata["issues"].startswith("the resources service does not answer: ")
        report = detail_of(error, registration_pb2.RegistrationReport)
        assert report.phases[-1].phase == registration_pb2.RegistrationReport.PHASE_RESOURCES
        assert [each.agent_id for each in (await registry.stub.ListAgents(pb.ListAgentsRequest())).agents] == ["free"]


async def test_an_agent_that_leaves_while_resources_is_down_is_told_what_is_left_to_do(store: MemoryStore) -> None:
    async with AsyncExitStack() as down, AsyncExitStack() as rest:
        own = MemoryStore(clock=CLOCK)
        resources = await down.enter_async_context(running_resources(own, clock=CLOCK))
        registry = await rest.enter_async_context(
            running_registry(store, clock=CLOCK, settings=RESERVING, peers=peers(resources))
        )
        await registry.register(instance_id=FIRST, resource_requirements=cpu(300))
        await down.aclose()
        left = await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="a"))
        outcomes = {each.part: (each.outcome, each.detail) for each in left.report.parts}
        assert outcomes[Deregistration.PART_RESOURCES] == (
            Deregistration.OUTCOME_PENDING,
            "the registry tries again until it succeeds",
        )
        assert outcomes[Deregistration.PART_CREDENTIALS] == (
            Deregistration.OUTCOME_COMPLETED,
            "no credentials were issued",
        )
        assert [row.stage.name for row in registry.service.host.machine.obligations.table.values()] == ["DUE"]
