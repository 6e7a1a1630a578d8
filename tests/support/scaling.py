"""A scaling service behind a real gRPC server, with sightings that a test makes up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc

from support.crew import Crew
from tercio.api.scaling.v1 import agent_pool_pb2, scaling_event_pb2
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio.api.scaling.v1.scaling_service_pb2_grpc import ScalingServiceStub
from tercio_common.clock import Clock
from tercio_common.composition import Ports, Service
from tercio_common.ids import SeededIds
from tercio_common.journal.store import Store
from tercio_common.machine.calls import EFFECT
from tercio_common.peers import NO_PEERS
from tercio_common.rpc.server import start_server
from tercio_common.settings import HostSettings, ServerSettings
from tercio_common.testing.eventually import eventually
from tercio_scaling import app
from tercio_scaling.drivers.catalogue import Drivers
from tercio_scaling.settings import ScalingSettings
from tercio_scaling.state.commands import ObservePools
from tercio_scaling.state.sightings import AgentSeen, Demand, MemberSeen, PoolSeen

AgentPool = agent_pool_pb2.AgentPool


@dataclass(slots=True, eq=False)
class Scaling:
    """One replica that runs, and a client of it."""

    service: Service
    stub: Any
    port: int
    requests: int = 0

    def request_id(self) -> str:
        self.requests += 1
        return f"r{self.requests}"

    async def apply(self, pool_id: str = "p", **fields: Any) -> agent_pool_pb2.AgentPool:
        """Apply a pool of somebody else's driver, unless another one is given."""
        if not {"local", "deployment", "pods", "external", "added"} & fields.keys():
            fields["external"] = AgentPool.External()
        pool = AgentPool(pool_id=pool_id, **fields)
        reply = await self.stub.ApplyPool(pb.ApplyPoolRequest(request_id=self.request_id(), pool=pool))
        applied: agent_pool_pb2.AgentPool = reply.pool
        return applied

    async def get(self, pool_id: str = "p") -> agent_pool_pb2.AgentPool:
        reply: pb.GetPoolResponse = await self.stub.GetPool(pb.GetPoolRequest(pool_id=pool_id))
        return reply.pool

    async def scale(self, agents: int, pool_id: str = "p", **fields: Any) -> pb.ScalePoolResponse:
        given = {"reason": "by hand", **fields}
        request = pb.ScalePoolRequest(request_id=self.request_id(), pool_id=pool_id, agents=agents, **given)
        reply: pb.ScalePoolResponse = await self.stub.ScalePool(request)
        return reply

    async def events(self, expression: str = "") -> list[scaling_event_pb2.ScalingEvent]:
        reply = await self.stub.ListScalingEvents(pb.ListScalingEventsRequest(expression=expression))
        return list(reply.events)

    async def see(self, seen: PoolSeen) -> None:
        """Have the leader observe a pool, as its effect does."""
        host = self.service.host
        host.session.keep((seen,), host.moment().now)
        await host.committed(host.propose(ObservePools((seen,)), call=EFFECT).seq)


def seen(pool_id: str = "p", *agents: str, waiting: int = 0, asked: int | None = None, **fields: Any) -> PoolSeen:
    """Return a fresh sighting: these agents work, and have members."""
    return PoolSeen(
        pool_id,
        demand=Demand(waiting=waiting),
        demand_age=0,
        agents=tuple(AgentSeen(each) for each in agents),
        agents_age=0,
        members=tuple(MemberSeen(each, "running", 0) for each in agents),
        asked=len(agents) if asked is None else asked,
        view_age=0,
        **{"watched": 3_600_000, **fields},
    )


@contextlib.asynccontextmanager
async def running_scaling(
    store: Store,
    *,
    clock: Clock,
    settings: ScalingSettings | None = None,
    host_settings: HostSettings | None = None,
    leads: bool = True,
    drivers: Drivers | None = None,
) -> AsyncIterator[Scaling]:
    """Serve one replica; with `leads` from the moment at which it leads.

    It has no peers, so it sees nothing itself, and by default drivers that start nothing.
    """
    service = app.build(
        Ports(
            clock=clock,
            ids=SeededIds(1),
            journal=store.journal(app.NAME),
            election=store.election(app.NAME),
            address="127.0.0.1:0",
            host_settings=host_settings or HostSettings(),
            settings=settings or ScalingSettings(),
            peers=NO_PEERS,
        ),
        drivers=drivers or Crew(clock),
    )
    server = await start_server([service], settings=ServerSettings(port=0), clock=clock)
    service.host.address = f"127.0.0.1:{server.port}"
    running = asyncio.create_task(service.host.run())
    try:
        if leads:
            await eventually(lambda: service.host.leading)
        async with grpc.aio.insecure_channel(service.host.address) as channel:
            yield Scaling(service, ScalingServiceStub(channel), server.port)
    finally:
        await server.close(grace_ms=0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
