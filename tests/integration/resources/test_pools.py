"""Pools and quotas through real gRPC, and their watches."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from support.registry import fields_of, reason_of
from support.resources import CAPACITY, Resources
from tercio.api.resources.v1 import pool_pb2, quota_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount

State = pool_pb2.Pool.State
GPU = pool_pb2.Pool(pool_id="gpu", dimension="gpu", unit="count", capacity=8, labels={"zone": "a"})


async def refused(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return reason_of(caught.value)


async def read(watch: Any) -> Any:
    message = await asyncio.wait_for(watch.read(), 10)
    assert message is not grpc.aio.EOF
    return message


async def test_a_pool_is_created_cut_fenced_and_deleted(resources: Resources) -> None:
    reply = await resources.stub.CreatePool(pb.CreatePoolRequest(request_id="c", pool=GPU))
    assert reply.pool.state == State.STATE_ACTIVE
    assert await refused(resources.stub.CreatePool(pb.CreatePoolRequest(request_id="c2", pool=GPU))) == "POOL_EXISTS"
    (number,) = await resources.allocate("a", amounts={"gpu": 8})
    assert (await resources.update("gpu", capacity=4)).state == State.STATE_OVER_COMMITTED
    assert (await resources.update("gpu", fenced=True)).state == State.STATE_FENCED
    delete = pb.DeletePoolRequest(request_id="d", pool_id="gpu")
    assert await refused(resources.stub.DeletePool(delete)) == "POOL_IN_USE"
    await resources.release(number)
    delete.request_id = "d2"
    await resources.stub.DeletePool(delete)
    assert await refused(resources.pool("gpu")) == "POOL_NOT_FOUND"


async def test_every_violation_of_a_pool_is_reported(resources: Resources) -> None:
    pool = pool_pb2.Pool(pool_id="a b", dimension="gpu", capacity=1, reserve=2)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await resources.stub.CreatePool(pb.CreatePoolRequest(pool=pool))
    assert fields_of(caught.value) == ["pool.pool_id", "pool.unit", "pool.reserve"]


async def test_pools_are_listed_by_expression(resources: Resources) -> None:
    await resources.stub.CreatePool(pb.CreatePoolRequest(request_id="c", pool=GPU))
    reply = await resources.stub.ListPools(pb.ListPoolsRequest(expression='labels.zone = "a" AND capacity < 10'))
    assert [pool.pool_id for pool in reply.pools] == ["gpu"]
    first = await resources.stub.ListPools(pb.ListPoolsRequest(page_size=1))
    second = await resources.stub.ListPools(pb.ListPoolsRequest(page_size=1, page_token=first.next_page_token))
    assert [pool.pool_id for pool in (*first.pools, *second.pools)] == ["cpu", "gpu"]
    assert not second.next_page_token


async def test_a_watch_shows_every_pool_and_then_what_changes(resources: Resources) -> None:
    watch = resources.stub.WatchPools(pb.WatchPoolsRequest())
    assert [(pool.pool_id, pool.granted) for pool in (await read(watch)).pools] == [("cpu", 0)]
    await resources.allocate("a")
    assert [(pool.pool_id, pool.granted) for pool in (await read(watch)).pools] == [("cpu", 100)]
    await resources.stub.CreatePool(pb.CreatePoolRequest(request_id="c", pool=GPU))
    assert [pool.pool_id for pool in (await read(watch)).pools] == ["gpu"]
    await resources.stub.DeletePool(pb.DeletePoolRequest(request_id="d", pool_id="gpu"))
    assert list((await read(watch)).deleted_pool_ids) == ["gpu"]
    watch.cancel()


async def test_a_watch_of_allocations_resumes_without_a_gap(resources: Resources) -> None:
    listed = await resources.stub.ListAllocations(pb.ListAllocationsRequest())
    watch = resources.stub.WatchAllocations(pb.WatchAllocationsRequest(cursor=listed.cursor, expression="priority > 0"))
    assert not (await read(watch)).allocations
    await resources.allocate("unseen")
    numbers = await resources.allocate("a", "b", priority=1)
    seen = await read(watch)
    assert [held.owner for held in seen.allocations] == ["a", "b"]
    watch.cancel()
    await resources.release(numbers[0])
    resumed = resources.stub.WatchAllocations(pb.WatchAllocationsRequest(cursor=seen.cursor))
    await read(resumed)
    assert list((await read(resumed)).released_allocation_ids) == [numbers[0]]
    resumed.cancel()


async def test_a_quota_bounds_what_a_tenant_holds(resources: Resources) -> None:
    limits = [ResourceAmount(dimension="cpu", amount=150)]
    quota = quota_pb2.Quota(tenant="a", limits=limits)
    await resources.stub.SetQuota(pb.SetQuotaRequest(request_id="s", quota=quota))
    assert [bool(number) for number in await resources.allocate("1", "2", tenant="a")] == [True, False]
    shown = (await resources.stub.GetQuota(pb.GetQuotaRequest(tenant="a"))).quota
    assert [(each.amount, each.unit) for each in (*shown.limits, *shown.granted)] == [
        (150, "millicores"),
        (100, "millicores"),
    ]
    assert [each.tenant for each in (await resources.stub.ListQuotas(pb.ListQuotasRequest())).quotas] == ["a"]
    await resources.stub.DeleteQuota(pb.DeleteQuotaRequest(request_id="d", tenant="a"))
    assert await refused(resources.stub.GetQuota(pb.GetQuotaRequest(tenant="a"))) == "QUOTA_NOT_FOUND"
    assert await resources.allocate("3", amounts={"cpu": 400}, tenant="a")


async def test_mutations_are_audited(resources: Resources) -> None:
    from tercio.api.resources.v1 import audit_service_pb2
    from tercio.api.resources.v1.audit_service_pb2_grpc import AuditServiceStub

    await resources.update(capacity=CAPACITY + 1)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{resources.port}") as channel:
        stub: Any = AuditServiceStub(channel)
        reply = await stub.ListAuditEvents(audit_service_pb2.ListAuditEventsRequest())
    assert [(list(event.changes), list(event.resources)) for event in reply.events] == [
        (["PoolsSet"], ["pools/cpu"]),
        (["PoolsSet"], ["pools/cpu"]),
    ]
