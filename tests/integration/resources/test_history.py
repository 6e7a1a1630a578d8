"""Allocations that ended, through real gRPC."""

from __future__ import annotations

import grpc
import pytest

from support.registry import fields_of, reason_of
from support.resources import Resources
from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb

Cause = allocation_pb2.PastAllocation.Cause


async def test_what_ended_is_listed_the_newest_grants_first_in_pages(resources: Resources) -> None:
    numbers = await resources.allocate("a", "b", "c", tenant="t", priority=3)
    await resources.release(numbers[0])
    await resources.release(owners=("b", "c"))
    await resources.allocate("held")
    first = await resources.stub.ListAllocationHistory(pb.ListAllocationHistoryRequest(page_size=2))
    request = pb.ListAllocationHistoryRequest(page_size=2, page_token=first.next_page_token)
    second = await resources.stub.ListAllocationHistory(request)
    shown = [*first.allocations, *second.allocations]
    assert [each.allocation_id for each in shown] == numbers[::-1]
    assert (len(first.allocations), second.next_page_token) == (2, "")
    past = shown[0]
    assert (past.owner, past.tenant, past.priority, past.cause) == ("c", "t", 3, Cause.CAUSE_RELEASED)
    assert [(part.pool_id, part.amount.amount) for part in past.parts] == [("cpu", 100)]
    assert past.grant_time.ToMilliseconds() <= past.end_time.ToMilliseconds()


async def test_what_ended_is_selected_by_an_expression(resources: Resources) -> None:
    await resources.allocate("a", "b")
    await resources.release(owners=("a", "b"))
    request = pb.ListAllocationHistoryRequest(expression='owner = "a" AND cause = RELEASED AND amounts.cpu >= 100')
    (past,) = (await resources.stub.ListAllocationHistory(request)).allocations
    assert past.owner == "a"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await resources.stub.ListAllocationHistory(pb.ListAllocationHistoryRequest(expression="nothing = 1"))
    assert fields_of(caught.value) == ["expression"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await resources.stub.ListAllocationHistory(pb.ListAllocationHistoryRequest(page_token="x"))
    assert reason_of(caught.value) == "CURSOR_INVALID"


async def test_a_release_names_an_agent_for_each_owner_or_none(resources: Resources) -> None:
    for agent_ids, field in ((["ada"], "agent_ids"), (["a b", ""], "agent_ids[0]")):
        request = pb.ReleaseRequest(request_id="r", owners=["a", "b"], agent_ids=agent_ids)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await resources.stub.Release(request)
        assert fields_of(caught.value) == [field]
