"""Prices, costs and limits through real gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from support.registry import fields_of, reason_of
from support.resources import Resources, spec
from tercio.api.resources.v1 import budget_service_pb2 as budgets
from tercio.api.resources.v1 import cost_pb2
from tercio.api.resources.v1 import cost_service_pb2 as pb
from tercio.api.resources.v1 import resource_service_pb2 as resources_pb
from tercio.api.resources.v1.budget_pb2 import Budget
from tercio.api.resources.v1.budget_service_pb2_grpc import BudgetServiceStub
from tercio.api.resources.v1.cost_service_pb2_grpc import CostServiceStub
from tercio_common.testing.manual_clock import ManualClock

Payer = cost_pb2.Cost.Payer


@pytest.fixture
async def channel(resources: Resources) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{resources.port}") as channel:
        yield channel


@pytest.fixture
async def stub(channel: grpc.aio.Channel) -> Any:
    stub: Any = CostServiceStub(channel)
    price = cost_pb2.Price(dimension="cpu", micros_per_unit_hour=36)
    await stub.SetPrice(pb.SetPriceRequest(request_id="price", price=price))
    return stub


async def test_a_grant_says_what_it_costs_and_how_it_was_chosen_and_is_to_be_monitored(
    resources: Resources, stub: Any
) -> None:
    request = resources_pb.AllocateRequest(request_id="a", specs=[spec()], owners=["a"])
    reply = await resources.stub.Allocate(request)
    assert (reply.strategy, reply.micros_per_hour, reply.report_interval.seconds) == ("best_fit", 3_600, 10)
    assert [each.micros_per_unit_hour for each in (await stub.ListPrices(pb.ListPricesRequest())).prices] == [36]


async def test_costs_grow_are_listed_in_pages_and_stop_at_the_limit(
    resources: Resources, stub: Any, clock: ManualClock
) -> None:
    await resources.allocate("a", tenant="t")
    await resources.allocate("b")
    await clock.advance(10_000)
    limit = pb.SetCostLimitRequest(request_id="l", payer=Payer.PAYER_TENANT, name="t", limit_micros=5)
    await stub.SetCostLimit(limit)
    first = await stub.GetCosts(pb.GetCostsRequest(payer=Payer.PAYER_TENANT, page_size=1))
    request = pb.GetCostsRequest(payer=Payer.PAYER_TENANT, page_size=1, page_token=first.next_page_token)
    second = await stub.GetCosts(request)
    shown = [*first.costs, *second.costs]
    assert [(each.name, each.micros_per_hour, each.limit_micros) for each in shown] == [("", 3_600, 0), ("t", 3_600, 5)]
    assert all(10 <= each.micros <= 12 for each in shown)
    assert not second.next_page_token
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await resources.allocate("c", tenant="t")
    assert reason_of(caught.value) == "COST_LIMIT_REACHED"
    assert await resources.allocate("c", tenant="u")


async def test_budgets_of_calls_to_language_models_are_shown_too(stub: Any, channel: grpc.aio.Channel) -> None:
    asked = budgets.CreateBudgetRequest(request_id="b", budget=Budget(budget_id="openai", cost_limit_micros=7))
    await BudgetServiceStub(channel).CreateBudget(asked)
    (shown,) = (await stub.GetCosts(pb.GetCostsRequest(payer=Payer.PAYER_BUDGET))).costs
    assert (shown.name, shown.micros, shown.limit_micros) == ("openai", 0, 7)


async def test_every_violation_is_reported(stub: Any) -> None:
    for call, fields in (
        (
            stub.SetPrice(pb.SetPriceRequest(price=cost_pb2.Price(micros_per_unit_hour=-1))),
            ["price.dimension", "price.micros_per_unit_hour"],
        ),
        (
            stub.SetCostLimit(pb.SetCostLimitRequest(payer=Payer.PAYER_BUDGET, name="a b", limit_micros=-1)),
            ["payer", "name", "limit_micros"],
        ),
        (stub.GetCosts(pb.GetCostsRequest(page_size=2_000)), ["payer", "page_size"]),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert fields_of(caught.value) == fields


async def test_what_was_held_is_charged_to_the_agent_that_the_release_names(
    resources: Resources, stub: Any, clock: ManualClock
) -> None:
    await resources.allocate("a", "b")
    await clock.advance(10_000)
    request = resources_pb.ReleaseRequest(request_id="r", owners=["a", "b"], agent_ids=["ada", ""])
    await resources.stub.Release(request)
    shown = await stub.GetCosts(pb.GetCostsRequest(payer=Payer.PAYER_AGENT))
    assert [(each.name, each.micros > 0, each.micros_per_hour) for each in shown.costs] == [("ada", True, 0)]
    history = await resources.stub.ListAllocationHistory(resources_pb.ListAllocationHistoryRequest())
    assert {past.owner: past.micros for past in history.allocations} == {
        "a": shown.costs[0].micros,
        "b": shown.costs[0].micros,
    }


async def test_an_agent_cannot_be_limited_because_it_is_not_known_before(stub: Any) -> None:
    request = pb.SetCostLimitRequest(request_id="l", payer=Payer.PAYER_AGENT, name="ada", limit_micros=5)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.SetCostLimit(request)
    assert fields_of(caught.value) == ["payer"]
