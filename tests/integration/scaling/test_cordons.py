"""Cordons at a real registry: set on who is to leave, lifted from who stays, and nobody else's touched."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from support.edge import failure
from support.registry import Registry, running_registry
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio.identity import POOL_LABEL
from tercio.rpc.channels import Channels, Route
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote
from tercio_common.clock import SystemClock
from tercio_common.journal.memory import MemoryStore
from tercio_scaling.effects.cordon import REASON, is_ours, set_cordon
from tercio_scaling.state.commands import VictimOutcome
from tercio_scaling.state.views import Cordon


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    clock = SystemClock()
    async with running_registry(MemoryStore(clock=clock), clock=clock) as running:
        yield running


@pytest.fixture
async def remote(registry: Registry) -> AsyncIterator[Remote[RegistryServiceStub]]:
    channels = Channels()
    yield Remote(Route(channels, (f"127.0.0.1:{registry.port}",)), RegistryServiceStub)
    await channels.close()


async def test_a_cordon_is_set_and_lifted_and_known_as_ours(
    registry: Registry, remote: Remote[RegistryServiceStub]
) -> None:
    await registry.register("a", labels={POOL_LABEL: "p"})
    assert await set_cordon(remote, Cordon("p", "a", leaves=True, seq=1)) is VictimOutcome.CORDONED
    agent = await registry.get("a")
    assert (agent.cordoned, is_ours(agent)) == (True, True)
    assert await set_cordon(remote, Cordon("p", "a", leaves=False, seq=2)) is VictimOutcome.RETURNED
    assert not (await registry.get("a")).cordoned


async def test_a_cordon_of_somebody_else_is_not_ours(registry: Registry) -> None:
    await registry.register("a")
    await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="a", cordoned=True, reason="its disk is bad"))
    assert not is_ours(await registry.get("a"))
    await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="a", cordoned=True, reason=REASON))
    assert is_ours(await registry.get("a"))


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param("AGENT_NOT_FOUND", id="never there"),
        pytest.param("AGENT_NOT_ACTIVE", id="gone"),
    ],
)
@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "stays"])
async def test_who_is_not_there_has_nothing_to_finish(
    registry: Registry, remote: Remote[RegistryServiceStub], reason: str, leaves: bool
) -> None:
    if reason == "AGENT_NOT_ACTIVE":
        await registry.register("a")
        await registry.stub.DeregisterAgent(pb.DeregisterAgentRequest(agent_id="a"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await registry.stub.CordonAgent(pb.CordonAgentRequest(agent_id="a", cordoned=leaves))
    assert failure(refused.value).reason == reason
    assert await set_cordon(remote, Cordon("p", "a", leaves=leaves, seq=1)) is VictimOutcome.ABSENT


async def test_any_other_refusal_is_no_answer(remote: Remote[RegistryServiceStub]) -> None:
    with pytest.raises(CallError, match="agent_id"):
        await set_cordon(remote, Cordon("p", "not an id", leaves=True, seq=1))
