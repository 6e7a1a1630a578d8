"""Calls between services carry the epoch of the leader that makes them, and a later one fences an earlier one off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import pytest

from support.counter_machine import CounterCodec, CounterMachine
from support.edge import TOKEN, Context, failure_of, running_edge
from support.registry import Registry, info_of, running_registry
from support.scheduler_service import peers_at, running_scheduler
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio_common.epochs import Epoch
from tercio_common.errors import Refusal, StoreRestoredError
from tercio_common.journal.memory import MemoryStore
from tercio_common.machine.calls import Call, Peer
from tercio_common.machine.host import Host
from tercio_common.peers import Peers
from tercio_common.rpc import incoming
from tercio_common.settings import HostSettings
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_registry.state.commands import RegisterAgent

PEER = "tercio-peer"


@dataclass(slots=True)
class Leader:
    """What a call to another service knows of its own host."""

    epoch: Epoch
    name: str = "scheduler"
    known: list[Epoch] = field(default_factory=list)


@asynccontextmanager
async def calling(registry: Registry, *epochs: Epoch) -> AsyncIterator[list[Any]]:
    """Give a stub of the registry for each epoch of the scheduler."""
    async with AsyncExitStack() as stack:
        yield [
            (
                await stack.enter_async_context(
                    peers_at(registry.port).remote("registry", RegistryServiceStub, host=cast(Host, Leader(epoch)))
                )
            ).stub()
            for epoch in epochs
        ]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock=clock)


@pytest.fixture
async def registry(store: MemoryStore, clock: ManualClock) -> AsyncIterator[Registry]:
    async with running_registry(store, clock=clock) as running:
        yield running


async def refusal_of(stub: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListAgents(pb.ListAgentsRequest())
    return info_of(caught.value)


async def test_a_later_leader_fences_an_earlier_one_off(registry: Registry) -> None:
    async with calling(registry, Epoch(1, 5), Epoch(1, 9)) as (former, present):
        await former.ListAgents(pb.ListAgentsRequest())
        await present.ListAgents(pb.ListAgentsRequest())
        await present.ListAgents(pb.ListAgentsRequest())
        info = await refusal_of(former)
    assert info.reason == "STALE_EPOCH"
    assert dict(info.metadata) == {"role": "scheduler", "generation": "1", "revision": "9"}


async def test_only_a_rise_makes_a_record(registry: Registry) -> None:
    async with calling(registry, Epoch(1, 5)) as (stub,):
        await stub.ListAgents(pb.ListAgentsRequest())
        before = registry.service.host.tip_seq
        for _ in range(3):
            await stub.ListAgents(pb.ListAgentsRequest())
        assert registry.service.host.tip_seq == before


async def test_the_next_leader_of_the_receiver_refuses_as_well(store: MemoryStore, clock: ManualClock) -> None:
    async with running_registry(store, clock=clock) as first, calling(first, Epoch(2, 3)) as (present,):
        await present.ListAgents(pb.ListAgentsRequest())
    async with running_registry(store, clock=clock) as second, calling(second, Epoch(1, 90)) as (former,):
        assert (await refusal_of(former)).reason == "STALE_EPOCH"


async def test_the_streams_of_an_earlier_leader_end_when_a_later_one_calls(registry: Registry) -> None:
    async with calling(registry, Epoch(1, 5), Epoch(1, 9)) as (former, present):
        stale = former.WatchAgents(pb.WatchAgentsRequest())
        await stale.read()
        kept = present.WatchAgents(pb.WatchAgentsRequest())
        await kept.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(stale.read(), 10)
        assert info_of(caught.value).reason == "STALE_EPOCH"
        await registry.register("a")
        message = await asyncio.wait_for(kept.read(), 10)
        assert message.agent.agent_id == "a"


async def test_a_command_is_refused_when_its_caller_was_outranked_while_it_waited(registry: Registry) -> None:
    host = registry.service.host
    call = Call("replica", "/m", peer=Peer("scheduler", 0, Epoch(1, 5)))
    await host.meet(Peer("scheduler", 0, Epoch(1, 6)), call)
    command = RegisterAgent(agent_id="a", profile=cast(Any, None), fingerprint="", instance_id=b"")
    with pytest.raises(Refusal, match="STALE_EPOCH"):
        host.propose(command, call=call)


async def test_a_follower_passes_the_leader_that_calls_on() -> None:
    seen: list[Peer | None] = []

    async def note(text: str, context: Context) -> str:
        seen.append(incoming.current().peer)
        return text

    async with running_edge(replica_token=TOKEN) as leader, running_edge(replica_token=TOKEN) as follower:
        follower.host.follow(leader.address)
        leader.echo.answer = note
        proof = ((PEER, "scheduler/0/1/7"), ("tercio-replica-token", TOKEN))
        await follower.client.ask("One", "x", metadata=proof)
    assert seen == [Peer("scheduler", 0, Epoch(1, 7))] == leader.host.met


@pytest.mark.parametrize(
    ("proof", "text", "reason"),
    [
        ((), "scheduler/0/1/7", "PERMISSION_DENIED"),
        ((("tercio-replica-token", TOKEN),), "scheduler/0/1", "INVALID_ARGUMENT"),
        ((("tercio-replica-token", TOKEN),), "Scheduler/0/1/7", "INVALID_ARGUMENT"),
    ],
    ids=["without proof", "no revision", "no role"],
)
async def test_nobody_else_may_name_a_leader(proof: tuple[Any, ...], text: str, reason: str) -> None:
    async with running_edge(replica_token=TOKEN) as edge:
        failure = await failure_of(edge.client.ask("One", "x", metadata=((PEER, text), *proof)))
    assert failure.reason == reason
    assert edge.host.met == []


async def test_peers_prove_themselves_with_the_replica_token() -> None:
    async with running_edge(replica_token=TOKEN) as edge:
        peers = Peers(addresses={"echo": edge.address}, replica_token=TOKEN)
        async with peers.remote("echo", lambda channel: channel, host=cast(Host, Leader(Epoch(1, 7)))) as remote:
            channel: Any = remote.stub()
            reply = await channel.unary_unary("/tercio.test.v1.EchoService/One")(b"")
    assert reply == b""
    assert edge.host.met == [Peer("scheduler", 0, Epoch(1, 7))]
    assert TOKEN not in repr(peers)


async def test_a_replaced_scheduler_steps_down_when_the_registry_refuses_it(
    store: MemoryStore, clock: ManualClock, registry: Registry
) -> None:
    async with running_scheduler(store, clock=clock, peers=peers_at(registry.port)) as scheduler:
        host = scheduler.service.host
        former = host.epoch
        later = Epoch(former.generation, former.revision + 1)
        async with calling(registry, later) as (present,):
            await present.ListAgents(pb.ListAgentsRequest())
        await eventually(lambda: host.epoch > former and host.leading)


@asynccontextmanager
async def running_host(store: MemoryStore, clock: ManualClock) -> AsyncIterator[tuple[Host, asyncio.Task[None]]]:
    host = Host(
        name="counter",
        machine=CounterMachine,
        session=lambda epoch: None,
        codec=CounterCodec(),
        journal=store.journal("counter"),
        election=store.election("counter"),
        clock=clock,
        settings=HostSettings(),
        address="127.0.0.1:1",
    )
    running = asyncio.create_task(host.run())
    try:
        await eventually(lambda: host.leading)
        yield host, running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_leader_on_a_restored_store_stops_and_names_the_command(store: MemoryStore, clock: ManualClock) -> None:
    async with running_host(store, clock) as (host, running):
        host.outranked(Epoch(host.epoch.generation, host.epoch.revision + 1_000))
        with pytest.raises(ExceptionGroup) as caught:
            await asyncio.wait_for(running, 10)
        assert caught.group_contains(StoreRestoredError, match="tercio store new-generation")


async def test_a_raised_generation_lets_it_lead_again(store: MemoryStore, clock: ManualClock) -> None:
    known = Epoch(1, 1_000)
    async with running_host(store, clock) as (host, _):
        await store.election("counter").raise_generation()
        host.outranked(known)
        await eventually(lambda: host.leading and host.epoch > known)
