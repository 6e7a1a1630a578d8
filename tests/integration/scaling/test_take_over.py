"""What outlives a leader, on real etcd: pools, numbers, victims, what was told; and what does not: what was seen."""

from __future__ import annotations

import grpc
import pytest

from support.etcd_server import EtcdServer
from support.registry import reason_of
from support.scaling import AgentPool, running_scaling, seen
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio_common.clock import SystemClock
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal.store import EtcdStore


async def test_pools_numbers_victims_and_events_outlive_the_leader(etcd_server: EtcdServer) -> None:
    clock = SystemClock()
    settings = EtcdSettings(endpoints=tuple(etcd_server.endpoints))
    store = EtcdStore(settings, clock=clock, ttl_ms=2000, prefix="scaling-take-over")
    try:
        async with running_scaling(store, clock=clock) as first:
            pool = await first.apply(local=AgentPool.Local(command=["x"]), min_agents=1, target_agents=3)
            await first.see(seen("p", "p-1", "p-2", "p-3"))
            scaled = await first.scale(2)
            told = await first.events()
        async with running_scaling(store, clock=clock) as second:
            found = await second.get()
            assert found.etag == pool.etag
            assert found.status.desired_count == 2
            assert [each.agent_id for each in found.status.victims] == list(scaled.agent_ids)
            assert await second.events() == told
            assert not found.status.HasField("observation")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await second.stub.EvaluatePool(pb.EvaluatePoolRequest(pool_id="p"))
            assert reason_of(caught.value) == "POOL_NOT_OBSERVED"
            second.requests = 100
            assert (await second.scale(3)).pool.status.desired_count == 3
    finally:
        await store.close()
