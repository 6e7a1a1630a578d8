"""A registry that dies in any phase of a registration: what it did outside is undone by the next process.

The short form dies once before the record is durable, and once after it.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import grpc
import pytest

from support.crashing_process import registry
from support.long_form import places
from support.registration_faults import EVERY_PHASE
from support.registry_ports import Ledgers
from support.resources import running_resources
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio_common.clock import SystemClock
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually

REQUEST = pb.RegisterAgentRequest(
    request_id="r", agent_id="a", identity_secret=b"s" * 16, instance_id=b"i" * 16, concurrency=2
)


async def register(port: int, request: pb.RegisterAgentRequest = REQUEST) -> pb.RegisterAgentResponse:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        reply: pb.RegisterAgentResponse = await RegistryServiceStub(channel).RegisterAgent(
            request, wait_for_ready=True, timeout=20
        )
        return reply


async def agents(port: int) -> list[str]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        found = await RegistryServiceStub(channel).ListAgents(pb.ListAgentsRequest(), wait_for_ready=True, timeout=20)
        return [agent.agent_id for agent in found.agents]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("phase", places(EVERY_PHASE, short="ANNOUNCE"))
async def test_a_crash_in_any_phase_leaves_all_or_nothing(tmp_path: Path, phase: str) -> None:
    ledgers = Ledgers(tmp_path)
    async with registry(tmp_path, crash_at=phase) as (running, port):
        with pytest.raises(grpc.aio.AioRpcError):
            await register(port)
        await asyncio.wait_for(running.communicate(), 60)
        assert running.returncode == -signal.SIGKILL
    left = ledgers.entries()
    assert bool(left[0]) == (phase != "VALIDATE")
    assert bool(left[1]) == (phase not in {"VALIDATE", "CLEARANCE"})
    async with registry(tmp_path) as (_, port):
        if phase == "ANNOUNCE":  # the record was durable: the agent is there, with what was reserved for it
            assert await agents(port) == ["a"]
            assert ledgers.entries() == left
        else:
            await eventually(lambda: ledgers.entries() == ([], []), within_ms=30_000)
            assert await agents(port) == []
        reply = await register(port)
        assert (reply.agent.agent_id, reply.agent.incarnation) == ("a", 1)
        assert [len(entries) for entries in ledgers.entries()] == [1, 1]


@pytest.mark.timeout(240)
async def test_what_was_reserved_before_a_crash_is_released_by_the_next_process(tmp_path: Path) -> None:
    needs = ResourceAmount(dimension="cpu", amount=600)
    request = pb.RegisterAgentRequest(
        agent_id="a", identity_secret=b"s" * 16, instance_id=b"i" * 16, resource_requirements=[needs]
    )
    clock = SystemClock()
    async with running_resources(MemoryStore(clock=clock), clock=clock) as resources:
        address = f"127.0.0.1:{resources.port}"
        async with registry(tmp_path, crash_at="PERSIST", resources=address) as (running, port):
            with pytest.raises(grpc.aio.AioRpcError):
                await register(port, request)
            await asyncio.wait_for(running.communicate(), 60)
        (orphan,) = await resources.listed()

        async with registry(tmp_path, resources=address) as (_, port):

            async def is_released() -> bool:
                return not await resources.listed()

            await eventually(is_released, within_ms=30_000)
            assert await agents(port) == []
            reply = await register(port, request)
            (held,) = await resources.listed()
            assert held.owner == f"registration/{reply.report.registration_id}" != orphan.owner
        with pytest.raises(grpc.aio.AioRpcError, match="released"):
            await resources.allocate(orphan.owner)

        # The registry dies once more, while the agent's next process keeps what is reserved: two would not fit.
        request.instance_id = b"j" * 16
        async with registry(tmp_path, crash_at="PERSIST", resources=address) as (running, port):
            with pytest.raises(grpc.aio.AioRpcError):
                await register(port, request)
            await asyncio.wait_for(running.communicate(), 60)
        assert [each.owner for each in await resources.listed()] == [held.owner]
        async with registry(tmp_path, resources=address) as (_, port):
            reply = await register(port, request)
            assert (reply.agent.incarnation, list(reply.reservation.amounts)) == (2, [needs])
            assert [each.owner for each in await resources.listed()] == [held.owner]
