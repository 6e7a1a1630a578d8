"""A resources service behind a real gRPC server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from tercio.api.resources.v1 import allocation_pb2, pool_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio_common.clock import Clock
from tercio_common.composition import Ports, Service
from tercio_common.ids import SeededIds
from tercio_common.journal.store import Store
from tercio_common.peers import NO_PEERS
from tercio_common.rpc.server import start_server
from tercio_common.settings import HostSettings, ServerSettings
from tercio_common.testing.eventually import eventually
from tercio_resources import app
from tercio_resources.settings import PoolSettings, ResourcesSettings

CAPACITY = 1_000
SETTINGS = ResourcesSettings(
    pools={"cpu": PoolSettings(dimension="cpu", capacity=CAPACITY, reserve=100)}, owner_limits={"cpu": 800}
)


@dataclass(slots=True, eq=False)
class Resources:
    """One replica that runs, and a client of it."""

    service: Service
    stub: Any
    port: int
    requests: int = 0

    def request_id(self) -> str:
        self.requests += 1
        return f"r{self.requests}"

    async def allocate(self, *owners: str, amounts: Mapping[str, int] | None = None, **fields: Any) -> list[int]:
        """Ask for the same for each owner; return the allocations' ids."""
        given = {name: fields.pop(name) for name in ("tenant", "priority", "ttl", "pool_labels") if name in fields}
        request = pb.AllocateRequest(
            request_id=fields.pop("request_id", "") or self.request_id(),
            specs=[spec(amounts, **given)],
            owners=owners,
            **fields,
        )
        return list((await self.stub.Allocate(request)).allocation_ids)

    async def release(self, *numbers: int, owners: tuple[str, ...] = ()) -> pb.ReleaseResponse:
        request = pb.ReleaseRequest(request_id=self.request_id(), allocation_ids=numbers, owners=owners)
        reply: pb.ReleaseResponse = await self.stub.Release(request)
        return reply

    async def update(self, pool_id: str = "cpu", **fields: Any) -> pool_pb2.Pool:
        request = pb.UpdatePoolRequest(request_id=self.request_id(), pool_id=pool_id, **fields)
        reply: pb.UpdatePoolResponse = await self.stub.UpdatePool(request)
        return reply.pool

    async def pool(self, pool_id: str = "cpu") -> pool_pb2.Pool:
        reply: pb.GetPoolResponse = await self.stub.GetPool(pb.GetPoolRequest(pool_id=pool_id))
        return reply.pool

    async def listed(self, expression: str = "") -> list[allocation_pb2.Allocation]:
        reply = await self.stub.ListAllocations(pb.ListAllocationsRequest(expression=expression))
        return list(reply.allocations)


def spec(amounts: Mapping[str, int] | None = None, **fields: Any) -> allocation_pb2.AllocationSpec:
    """Return a spec; by default a tenth of the pool."""
    asked = [ResourceAmount(dimension=name, amount=each) for name, each in (amounts or {"cpu": 100}).items()]
    return allocation_pb2.AllocationSpec(amounts=asked, **fields)


@contextlib.asynccontextmanager
async def running_resources(
    store: Store,
    *,
    clock: Clock,
    settings: ResourcesSettings = SETTINGS,
    host_settings: HostSettings | None = None,
    leads: bool = True,
) -> AsyncIterator[Resources]:
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
            peers=NO_PEERS,
        )
    )
    server = await start_server([service], settings=ServerSettings(port=0), clock=clock)
    service.host.address = f"127.0.0.1:{server.port}"
    running = asyncio.create_task(service.host.run())
    try:
        if leads:
            await eventually(lambda: service.host.leading)
        async with grpc.aio.insecure_channel(service.host.address) as channel:
            yield Resources(service, ResourceServiceStub(channel), server.port)
    finally:
        await server.close(grace_ms=0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
