"""A system task outlives the leaders of both services that have it in hand, and its outcome is recorded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from support.asking_registry import AGENT
from support.etcd_server import EtcdServer
from support.processes import SCHEDULER, Fleet, ServerProcess, fleet_on
from support.raw_agent import Assigned, raw_agent
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio_common.machine.records import split_segment
from tercio_common.machine.system_tasks import Result, SystemTaskOutcome
from tercio_common.testing.eventually import eventually
from tercio_common.testing.history import judge, recorded
from tercio_common.testing.history.facts import decoder

_INSTANCE = b"i" * 16
_SOON_MS = 30_000
_REPLICAS = 2


async def _register(fleet: Fleet) -> None:
    leader, _ = await fleet.leader_after(None)
    async with grpc.aio.insecure_channel(leader.address) as channel:
        stub: Any = RegistryServiceStub(channel)
        request = pb.RegisterAgentRequest(
            request_id="r", agent_id=AGENT, identity_secret=b"s" * 16, instance_id=_INSTANCE, concurrency=1
        )
        await stub.RegisterAgent(request, wait_for_ready=True, timeout=20)


async def _kill_leaders(*fleets: Fleet) -> list[ServerProcess]:
    """Kill the leader of each, then wait for the next; return those."""
    present = [await fleet.leader_after(None) for fleet in fleets]
    for replica, _ in present:
        replica.kill()
    following = [await fleet.leader_after(leader) for fleet, (_, leader) in zip(fleets, present, strict=True)]
    return [replica for replica, _ in following]


async def _events(fleet: Fleet, service: str) -> Iterator[Any]:
    decode = decoder(service)
    segments = await fleet.journal.read(0)
    records = [record for segment in segments for record in split_segment(segment.value)]
    return (decode(event) for record in records for event in record.events)


async def _outcomes(registry: Fleet) -> list[SystemTaskOutcome]:
    events = await _events(registry, "registry")
    return [one for event in events if type(event).__name__ == "SystemTasksClosed" for one in event.outcomes]


async def _acknowledged(scheduler: Fleet) -> list[str]:
    events = await _events(scheduler, "scheduler")
    return [one for event in events if type(event).__name__ == "OutboxAcknowledged" for one in event.entry_ids]


async def _begin(scheduler: Fleet) -> Assigned:
    leader, _ = await scheduler.leader_after(None)
    await leader.leading()
    async with raw_agent(leader.address, agent_id=AGENT, instance_id=_INSTANCE) as agent:
        await agent.hello()
        attempt = await agent.next_attempt()
        await agent.start(attempt)
    return attempt


@pytest.mark.timeout(90)
async def test_both_leaders_are_killed_while_an_agent_is_at_it(
    start_etcd: Callable[..., EtcdServer], tmp_path: Path
) -> None:
    endpoints = start_etcd(fsync=False).endpoints
    async with (
        fleet_on(endpoints, folder=tmp_path, service="registry") as registry,
        fleet_on(endpoints, folder=tmp_path) as scheduler,
        recorded(scheduler.journal, tmp_path / "recording"),
    ):
        await registry.add_all(_REPLICAS, module="support.asking_registry", settings={"ASKED": str(tmp_path / "asked")})
        await scheduler.add_all(_REPLICAS, module=SCHEDULER, settings={"TERCIO_REGISTRY_ADDRESS": registry.address})
        await _register(registry)
        attempt = await _begin(scheduler)
        _, leader = await _kill_leaders(registry, scheduler)
        await leader.leading()
        async with raw_agent(leader.address, agent_id=AGENT, instance_id=_INSTANCE) as agent:
            await agent.hello(started=[attempt])
            await agent.succeed(attempt, b"nonce")
            await agent.succeed(attempt, b"again")
        await eventually(lambda: _acknowledged(scheduler), within_ms=_SOON_MS)
        (outcome,) = await _outcomes(registry)
        assert (outcome.result, outcome.output) == (Result.SUCCEEDED, b"nonce")
        assert await _acknowledged(scheduler) == [outcome.system_task_id]
    judge(tmp_path / "recording").demand()
