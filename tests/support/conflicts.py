"""A conflicts service behind a real gRPC server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc

from tercio.api.conflicts.v1 import claim_pb2
from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceStub
from tercio_common.clock import Clock
from tercio_common.composition import Ports, Service
from tercio_common.ids import SeededIds
from tercio_common.journal.store import Store
from tercio_common.peers import NO_PEERS
from tercio_common.rpc.server import start_server
from tercio_common.settings import HostSettings, ServerSettings
from tercio_common.testing.eventually import eventually
from tercio_conflicts import app
from tercio_conflicts.settings import ConflictsSettings

FILE, GLOB, TOPIC = claim_pb2.Thing.KIND_FILE, claim_pb2.Thing.KIND_GLOB, claim_pb2.Thing.KIND_TOPIC
SHARED, INTENT, EXCLUSIVE = claim_pb2.Claim.MODE_SHARED, claim_pb2.Claim.MODE_INTENT, claim_pb2.Claim.MODE_EXCLUSIVE
BATCH = pb.AcquireClaimsRequest.ATOMICITY_BATCH
SCOPE = "/repository/.git"


@dataclass(slots=True, eq=False)
class Conflicts:
    """One replica that runs, and a client of it."""

    service: Service
    stub: Any
    port: int
    requests: int = 0

    def request_id(self) -> str:
        self.requests += 1
        return f"r{self.requests}"

    async def acquire(
        self, owner: str, *names: str, mode: claim_pb2.Claim.Mode.ValueType = EXCLUSIVE, **fields: Any
    ) -> list[int]:
        """Claim files for one owner; return the claims' ids."""
        fields.setdefault("request_id", self.request_id())
        fields.setdefault("things", [thing(name) for name in names])
        request = pb.AcquireClaimsRequest(modes=[mode], owners=[owner], **fields)
        return list((await self.stub.AcquireClaims(request)).claim_ids)

    async def release(self, *numbers: int, owners: tuple[str, ...] = ()) -> pb.ReleaseClaimsResponse:
        request = pb.ReleaseClaimsRequest(request_id=self.request_id(), claim_ids=numbers, owners=owners)
        reply: pb.ReleaseClaimsResponse = await self.stub.ReleaseClaims(request)
        return reply

    async def ask(self, *numbers: int, by: str = "z", **fields: Any) -> list[claim_pb2.Claim]:
        """Ask for the release of claims; return them as they are now."""
        request = pb.RequestReleaseRequest(request_id=self.request_id(), claim_ids=numbers, asked_by=by, **fields)
        return list((await self.stub.RequestRelease(request)).claims)

    async def claim(self, number: int) -> claim_pb2.Claim:
        reply: pb.GetClaimResponse = await self.stub.GetClaim(pb.GetClaimRequest(claim_id=number))
        return reply.claim

    async def listed(self, expression: str = "", **fields: Any) -> list[claim_pb2.Claim]:
        reply = await self.stub.ListClaims(pb.ListClaimsRequest(expression=expression, **fields))
        return list(reply.claims)


def thing(name: str, *, kind: claim_pb2.Thing.Kind.ValueType = FILE, scope: str = SCOPE) -> claim_pb2.Thing:
    """Return a thing; by default a file of one repository."""
    return claim_pb2.Thing(kind=kind, scope=scope, name=name)


@contextlib.asynccontextmanager
async def running_conflicts(
    store: Store,
    *,
    clock: Clock,
    settings: ConflictsSettings | None = None,
    host_settings: HostSettings | None = None,
) -> AsyncIterator[Conflicts]:
    """Serve one replica from the moment at which it leads."""
    service = app.build(
        Ports(
            clock=clock,
            ids=SeededIds(1),
            journal=store.journal(app.NAME),
            election=store.election(app.NAME),
            address="127.0.0.1:0",
            host_settings=host_settings or HostSettings(),
            settings=settings or ConflictsSettings(),
            peers=NO_PEERS,
        )
    )
    server = await start_server([service], settings=ServerSettings(port=0), clock=clock)
    service.host.address = f"127.0.0.1:{server.port}"
    running = asyncio.create_task(service.host.run())
    try:
        await eventually(lambda: service.host.leading)
        async with grpc.aio.insecure_channel(service.host.address) as channel:
            yield Conflicts(service, ClaimServiceStub(channel), server.port)
    finally:
        await server.close(grace_ms=0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
