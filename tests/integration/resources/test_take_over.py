"""What outlives a leader, on real etcd: grants, tombstones, replies; and what does not: who waited."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from support.etcd_server import EtcdServer
from support.registry import reason_of
from support.resources import running_resources
from tercio_common.clock import SystemClock
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal.memory import MemoryStore
from tercio_common.journal.store import EtcdStore
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock


async def test_grants_tombstones_and_replies_outlive_the_leader(etcd_server: EtcdServer) -> None:
    clock = SystemClock()
    settings = EtcdSettings(endpoints=tuple(etcd_server.endpoints))
    store = EtcdStore(settings, clock=clock, ttl_ms=2000, prefix="resources-take-over")
    try:
        async with running_resources(store, clock=clock) as first:
            granted = await first.allocate("a", "b", request_id="once")
            await first.release(owners=("gone",))
        async with running_resources(store, clock=clock) as second:
            assert await second.allocate("a", "b", request_id="once") == granted
            assert [held.allocation_id for held in await second.listed()] == granted
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await second.allocate("gone", request_id="barred")
            assert reason_of(caught.value) == "OWNER_RELEASED"
            (later,) = await second.allocate("c", request_id="later")
            assert later > granted[-1]
    finally:
        await store.close()


async def test_a_waiting_call_ends_with_its_leader(clock: ManualClock, store: MemoryStore) -> None:
    async with running_resources(store, clock=clock) as resources:
        await resources.allocate("a", amounts={"cpu": 800})
        call = asyncio.create_task(resources.allocate("b", amounts={"cpu": 500}, wait_timeout=Duration(seconds=600)))
        await eventually(lambda: len(resources.service.host.session.waiting) == 1)
        await resources.service.host.drain()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert reason_of(caught.value) == "NO_LEADER"
