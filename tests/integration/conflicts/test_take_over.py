"""What outlives a leader, on real etcd: claims, tombstones, replies, the audit trail."""

from __future__ import annotations

import grpc
import pytest

from support.audit import audited
from support.conflicts import running_conflicts
from support.etcd_server import EtcdServer
from support.registry import reason_of
from tercio.api.conflicts.v1 import audit_service_pb2
from tercio.api.conflicts.v1.audit_service_pb2_grpc import AuditServiceStub
from tercio_common.clock import SystemClock
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal.store import EtcdStore


async def test_claims_tombstones_and_replies_outlive_the_leader(etcd_server: EtcdServer) -> None:
    clock = SystemClock()
    settings = EtcdSettings(endpoints=tuple(etcd_server.endpoints))
    store = EtcdStore(settings, clock=clock, ttl_ms=2000, prefix="conflicts-take-over")
    try:
        async with running_conflicts(store, clock=clock) as first:
            granted = await first.acquire("a", "x", "y", request_id="once")
            await first.release(owners=("gone",))
        async with running_conflicts(store, clock=clock) as second:
            assert await second.acquire("a", "x", "y", request_id="once") == granted
            assert [claim.claim_id for claim in await second.listed()] == granted
            for owner, name, reason in (("gone", "z", "OWNER_RELEASED"), ("b", "x", "CLAIM_CONFLICT")):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await second.acquire(owner, name, request_id=f"{owner}-{name}")
                assert reason_of(caught.value) == reason
            (later,) = await second.acquire("c", "z", request_id="later")
            assert later > granted[-1]
            events = [event for event in await audited(second.service.host) if event.changes]
            assert events[0].resources == ["things/x", "things/y"]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{second.port}") as channel:
                request = audit_service_pb2.ListAuditEventsRequest()
                listed = (await AuditServiceStub(channel).ListAuditEvents(request)).events
            assert [event.method.rpartition("/")[2] for event in listed if event.changes] == [
                "AcquireClaims",
                "ReleaseClaims",
                "AcquireClaims",
            ]
    finally:
        await store.close()
