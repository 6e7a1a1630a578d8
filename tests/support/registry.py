"""A registry behind a real gRPC server, and agents that talk to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tercio.api.registry.v1 import agent_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio_common.clock import Clock
from tercio_common.composition import Ports, Service
from tercio_common.ids import SeededIds
from tercio_common.journal.store import Store
from tercio_common.peers import NO_PEERS, Peers
from tercio_common.rpc.server import start_server
from tercio_common.settings import HostSettings, ServerSettings
from tercio_common.testing.eventually import eventually
from tercio_registry import app
from tercio_registry.ports import Outside
from tercio_registry.settings import RegistrySettings

State = agent_pb2.Agent.State
SECRET = b"a secret of sixteen bytes or more"
FIRST, SECOND = b"1" * 16, b"2" * 16
INTERVAL_MS = 1_000
TTL_MS = 3 * INTERVAL_MS
SETTINGS = RegistrySettings(heartbeat_interval_ms=INTERVAL_MS, retention_ms=60_000)


@dataclass(slots=True, eq=False)
class Registry:
    """One replica that runs."""

    service: Service
    clock: Any
    stub: Any
    port: int
    running: asyncio.Task[None]

    async def register(self, agent_id: str = "a", **fields: Any) -> pb.RegisterAgentResponse:
        request = pb.RegisterAgentRequest(
            **{"agent_id": agent_id, "identity_secret": SECRET, "instance_id": FIRST, **fields}
        )
        reply: pb.RegisterAgentResponse = await self.stub.RegisterAgent(request)
        return reply

    async def get(self, agent_id: str = "a") -> agent_pb2.Agent:
        reply: pb.GetAgentResponse = await self.stub.GetAgent(pb.GetAgentRequest(agent_id=agent_id))
        return reply.agent

    async def state(self, agent_id: str = "a") -> str:
        return State.Name((await self.get(agent_id)).state).removeprefix("STATE_")

    async def pages(self, **fields: Any) -> list[list[str]]:
        """Return the ids of every page of a list."""
        pages, token = [], ""
        while True:
            reply = await self.stub.ListAgents(pb.ListAgentsRequest(page_token=token, **fields))
            pages.append([agent.agent_id for agent in reply.agents])
            assert bool(reply.cursor) == (not token)
            if not (token := reply.next_page_token):
                return pages

    async def cursor(self) -> str:
        reply = await self.stub.ListAgents(pb.ListAgentsRequest())
        return str(reply.cursor)

    def watch(self, cursor: str = "", **fields: Any) -> Watch:
        return Watch(self.stub.WatchAgents(pb.WatchAgentsRequest(cursor=cursor, **fields)))


class Watch:
    """Reads one watch."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.cursor = ""

    async def message(self) -> pb.WatchAgentsResponse:
        message: Any = await asyncio.wait_for(self.call.read(), 10)
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        self.cursor = message.cursor
        assert self.cursor
        assert isinstance(message, pb.WatchAgentsResponse)
        return message

    async def next(self) -> tuple[str, str]:
        """Return agent and state of the next change; bookmarks are passed over."""
        while True:
            message = await self.message()
            if message.HasField("agent"):
                return message.agent.agent_id, State.Name(message.agent.state).removeprefix("STATE_")

    async def standing(self) -> Watch:
        """Return itself once the server has answered."""
        assert not (await self.message()).HasField("agent")
        return self


class Heartbeats:
    """One heartbeat stream."""

    def __init__(self, registry: Registry) -> None:
        self.call = registry.stub.Heartbeat()

    async def send(self, *beats: tuple[str, int]) -> None:
        message = pb.HeartbeatRequest(
            beats=[pb.HeartbeatRequest.Beat(agent_id=agent_id, incarnation=number) for agent_id, number in beats]
        )
        await self.call.write(message)

    async def receive(self) -> pb.HeartbeatResponse:
        message = await asyncio.wait_for(self.call.read(), 10)
        assert isinstance(message, pb.HeartbeatResponse)
        return message

    async def beat(self, *beats: tuple[str, int]) -> list[str]:
        """Send heartbeats and return the reasons of the answers."""
        await self.send(*beats)
        return [answer.reason for answer in (await self.receive()).answers]


def reason_of(error: grpc.aio.AioRpcError) -> str:
    return info_of(error).reason


def info_of(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    info: error_details_pb2.ErrorInfo = detail_of(error, error_details_pb2.ErrorInfo)
    return info


def fields_of(error: grpc.aio.AioRpcError) -> list[str]:
    """Return the fields that a refusal names."""
    bad = detail_of(error, error_details_pb2.BadRequest)
    return [violation.field for violation in bad.field_violations]


def detail_of(error: grpc.aio.AioRpcError, kind: Any) -> Any:
    status = rpc_status.from_call(cast(grpc.Call, error))
    assert status is not None, error
    for detail in status.details:
        found = kind()
        if detail.Unpack(found):
            return found
    raise AssertionError(f"no {kind.__name__} in {status}")


@contextlib.asynccontextmanager
async def running_registry(
    store: Store,
    *,
    clock: Clock,
    settings: RegistrySettings = SETTINGS,
    host_settings: HostSettings | None = None,
    leads: bool = True,
    outside: Outside | None = None,
    peers: Peers = NO_PEERS,
) -> AsyncIterator[Registry]:
    """Serve one replica; with `leads` from the moment at which it leads."""
    service = app.build(
        Ports(
            clock=clock,
            ids=SeededIds(1),
            journal=store.journal(app.NAME),
            election=store.election(app.NAME),
            address="127.0.0.1:0",
            host_settings=host_settings or HostSettings(),
            settings=settings,
            peers=peers,
        ),
        outside=outside,
    )
    server = await start_server([service], settings=ServerSettings(port=0), clock=clock)
    service.host.address = f"127.0.0.1:{server.port}"
    running = asyncio.create_task(service.host.run())
    try:
        if leads:
            await eventually(lambda: service.host.leading)
        async with grpc.aio.insecure_channel(service.host.address) as channel:
            yield Registry(service, clock, RegistryServiceStub(channel), server.port, running)
    finally:
        await server.close(grace_ms=0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
