"""Grants and releases through real gRPC."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from support.registry import detail_of, fields_of, info_of, reason_of
from support.resources import Resources, spec
from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock

Allocation = allocation_pb2.Allocation


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_batch_is_granted_in_columns_and_released_once(resources: Resources) -> None:
    numbers = await resources.allocate("a", "b", "c")
    assert sorted(set(numbers)) == numbers
    assert (await resources.pool()).granted == 300
    assert (await resources.release(*numbers)).released_count == 3
    again = await resources.release(*numbers)
    assert (again.released_count, list(again.unknown_allocation_ids)) == (0, numbers)
    assert (await resources.pool()).granted == 0


async def test_items_of_a_batch_are_independent_unless_it_is_atomic(resources: Resources) -> None:
    owners = [f"owner-{number}" for number in range(11)]
    numbers = await resources.allocate(*owners)
    assert [bool(number) for number in numbers] == [True] * 9 + [False] * 2
    await resources.release(*numbers[:9])
    error = await refusal(resources.allocate(*owners, atomic_batch=True))
    assert reason_of(error) == "INSUFFICIENT_RESOURCES"
    assert (await resources.pool()).granted == 0


async def test_a_refusal_names_the_gap_of_each_dimension(resources: Resources) -> None:
    await resources.allocate("a", amounts={"cpu": 800})
    error = await refusal(resources.allocate("b", amounts={"cpu": 300}))
    info, failure = info_of(error), detail_of(error, error_details_pb2.QuotaFailure)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert info.reason == "INSUFFICIENT_RESOURCES"
    assert (info.metadata["cpu.required"], info.metadata["cpu.available"], info.metadata["cpu.gap"]) == (
        "300",
        "100",
        "200",
    )
    assert [violation.subject for violation in failure.violations] == ["pool:cpu"]
    check = await resources.stub.CheckAllocation(pb.CheckAllocationRequest(spec=spec({"cpu": 300}), owner="b"))
    assert (check.fits, check.gaps[0].gap) == (False, 200)


async def test_a_retry_gets_the_same_allocation(resources: Resources) -> None:
    first = await resources.allocate("a", request_id="same")
    assert await resources.allocate("a", request_id="same") == first
    assert (await resources.pool()).granted == 100


async def test_an_owner_that_was_released_is_granted_nothing_any_more(resources: Resources) -> None:
    await resources.allocate("attempt/1.7/3")
    assert (await resources.release(owners=("attempt/1.7/3",))).released_count == 1
    assert reason_of(await refusal(resources.allocate("attempt/1.7/3"))) == "OWNER_RELEASED"


async def test_a_release_that_comes_first_bars_the_grant_that_is_late(resources: Resources) -> None:
    await resources.release(owners=("late",))
    assert reason_of(await refusal(resources.allocate("late"))) == "OWNER_RELEASED"


async def test_one_owner_may_not_hold_more_than_its_limit(resources: Resources) -> None:
    assert reason_of(await refusal(resources.allocate("a", amounts={"cpu": 801}))) == "RESOURCE_LIMIT_EXCEEDED"
    await resources.allocate("a", amounts={"cpu": 750})
    error = await refusal(resources.allocate("a", amounts={"cpu": 100}))
    assert info_of(error).metadata["cpu.bound"] == "owner"


async def test_a_unit_or_a_dimension_that_does_not_exist_is_refused(resources: Resources) -> None:
    wrong = spec()
    wrong.amounts[0].unit = "cores"
    request = pb.AllocateRequest(request_id="unit", specs=[wrong], owners=["a"])
    error = await refusal(resources.stub.Allocate(request))
    assert (reason_of(error), info_of(error).metadata["unit"]) == ("UNIT_MISMATCH", "millicores")
    assert reason_of(await refusal(resources.allocate("a", amounts={"gpu": 1}))) == "POOL_NOT_FOUND"


async def test_every_violation_is_reported(resources: Resources) -> None:
    request = pb.AllocateRequest(specs=[spec({"cpu": 0}, priority=10)], owners=["a b", "ok"], spec_indexes=[0, 1])
    request.wait_timeout.FromSeconds(1)
    assert set(fields_of(await refusal(resources.stub.Allocate(request)))) == {
        "specs[0].amounts[0].amount",
        "specs[0].priority",
        "owners[0]",
        "spec_indexes",
        "wait_timeout",
    }


async def test_a_transfer_hands_over_with_a_higher_token(resources: Resources) -> None:
    (number,) = await resources.allocate("a")
    reply = await resources.stub.Transfer(pb.TransferRequest(request_id="t", from_owner="a", to_owner="b"))
    (handed,) = reply.allocations
    assert (handed.allocation_id, handed.owner) == (number, "b")
    assert handed.token.number > number
    missing = pb.TransferRequest(request_id="t2", from_owner="a", to_owner="c")
    assert reason_of(await refusal(resources.stub.Transfer(missing))) == "ALLOCATION_NOT_FOUND"


async def test_renewal_tells_which_owners_hold_nothing(resources: Resources) -> None:
    await resources.allocate("a")
    reply = await resources.stub.Renew(pb.RenewRequest(owners=["a", "b"]))
    assert list(reply.unknown_owners) == ["b"]


async def test_an_allocation_is_read_and_listed_by_expression(resources: Resources) -> None:
    numbers = await resources.allocate("a", "b", tenant="blue", priority=3)
    reply = await resources.stub.GetAllocation(pb.GetAllocationRequest(allocation_id=numbers[0]))
    held = reply.allocation
    assert (held.owner, held.tenant, held.priority, held.state) == ("a", "blue", 3, Allocation.STATE_ACTIVE)
    assert [(part.pool_id, part.amount.amount, part.amount.unit) for part in held.parts] == [("cpu", 100, "millicores")]
    assert [each.owner for each in await resources.listed('owner = "b" AND amounts.cpu >= 100')] == ["b"]
    missing = resources.stub.GetAllocation(pb.GetAllocationRequest(allocation_id=1))
    assert reason_of(await refusal(missing)) == "ALLOCATION_NOT_FOUND"


async def test_pages_give_every_allocation_once(resources: Resources) -> None:
    numbers = await resources.allocate("a", "b", "c")
    seen, token = [], ""
    while True:
        reply = await resources.stub.ListAllocations(pb.ListAllocationsRequest(page_size=2, page_token=token))
        seen += [held.allocation_id for held in reply.allocations]
        if not (token := reply.next_page_token):
            break
    assert seen == numbers
    other = pb.ListAllocationsRequest(page_token="x", expression='owner = "a"')
    assert reason_of(await refusal(resources.stub.ListAllocations(other))) == "CURSOR_INVALID"


async def test_what_nobody_renews_is_released_and_its_pool_is_free_again(
    resources: Resources, clock: ManualClock
) -> None:
    await resources.allocate("dies", "lives")
    for _ in range(70):
        await resources.stub.Renew(pb.RenewRequest(owners=["lives"]))
        await clock.advance(1_000)
    await eventually(lambda: len(resources.service.host.machine.tables.allocations) == 1)
    assert [held.owner for held in await resources.listed()] == ["lives"]


async def test_an_emergency_opens_the_reserve_and_asks_holders_back(resources: Resources, clock: ManualClock) -> None:
    (low,) = await resources.allocate("low", amounts={"cpu": 800})
    assert await resources.allocate("urgent", amounts={"cpu": 200}, emergency=True)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await resources.allocate("more", amounts={"cpu": 500}, emergency=True, priority=9)
    assert info_of(caught.value).metadata["revoking"] == "1"
    assert [held.allocation_id for held in await resources.listed("state = REVOKING")] == [low]
    for _ in range(6):
        await clock.advance(1_000)
    await eventually(lambda: low not in resources.service.host.machine.tables.allocations)
    assert await resources.allocate("more", amounts={"cpu": 500}, emergency=True, priority=9)
