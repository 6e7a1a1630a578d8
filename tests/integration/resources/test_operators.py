"""Who may change what everybody shares: the operators that the settings name, and nobody else."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from support.registry import fields_of, reason_of
from support.resources import SETTINGS, Resources, running_resources
from tercio.api.resources.v1 import budget_service_pb2 as budgets
from tercio.api.resources.v1 import cost_service_pb2 as costs
from tercio.api.resources.v1 import resource_service_pb2 as resources_pb
from tercio.api.resources.v1 import strategy_service_pb2 as strategies
from tercio.api.resources.v1 import usage_service_pb2 as usage
from tercio.api.resources.v1.budget_pb2 import Budget
from tercio.api.resources.v1.budget_service_pb2_grpc import BudgetServiceStub
from tercio.api.resources.v1.cost_pb2 import Price
from tercio.api.resources.v1.cost_service_pb2_grpc import CostServiceStub
from tercio.api.resources.v1.pool_pb2 import Pool
from tercio.api.resources.v1.quota_pb2 import Quota
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.resources.v1.strategy_service_pb2_grpc import StrategyServiceStub
from tercio.api.resources.v1.usage_service_pb2_grpc import UsageServiceStub
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock

CALLS: dict[str, tuple[Any, Any]] = {
    "CreatePool": (
        ResourceServiceStub,
        resources_pb.CreatePoolRequest(pool=Pool(pool_id="p", dimension="cpu", capacity=1)),
    ),
    "UpdatePool": (ResourceServiceStub, resources_pb.UpdatePoolRequest(pool_id="cpu", capacity=1)),
    "DeletePool": (ResourceServiceStub, resources_pb.DeletePoolRequest(pool_id="cpu")),
    "SetQuota": (ResourceServiceStub, resources_pb.SetQuotaRequest(quota=Quota(tenant="t"))),
    "DeleteQuota": (ResourceServiceStub, resources_pb.DeleteQuotaRequest(tenant="t")),
    "CreateBudget": (BudgetServiceStub, budgets.CreateBudgetRequest(budget=Budget(budget_id="b"))),
    "UpdateBudget": (BudgetServiceStub, budgets.UpdateBudgetRequest(budget_id="b")),
    "DeleteBudget": (BudgetServiceStub, budgets.DeleteBudgetRequest(budget_id="b")),
    "Optimize": (UsageServiceStub, usage.OptimizeRequest()),
    "SetPrice": (CostServiceStub, costs.SetPriceRequest(price=Price(dimension="cpu"))),
    "SetCostLimit": (CostServiceStub, costs.SetCostLimitRequest(payer=1, name="t")),
    "SetStrategy": (StrategyServiceStub, strategies.SetStrategyRequest(subject=1, name="round_robin")),
}


@pytest.mark.parametrize("method", CALLS)
async def test_who_is_no_operator_changes_nothing(method: str, store: MemoryStore, clock: ManualClock) -> None:
    settings = SETTINGS.model_copy(update={"operator_principals": ("ops",)})
    kind, request = CALLS[method]
    async with (
        running_resources(store, clock=clock, settings=settings) as resources,
        grpc.aio.insecure_channel(f"127.0.0.1:{resources.port}") as channel,
    ):
        request.request_id = "r"
        before = await resources.pool()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(kind(channel), method)(request)
        assert (caught.value.code(), reason_of(caught.value)) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "PERMISSION_DENIED",
        )
        assert await resources.pool() == before
        assert await resources.allocate("a"), "whoever is no operator still uses what there is"


async def test_a_dry_run_of_an_optimisation_is_for_everybody(store: MemoryStore, clock: ManualClock) -> None:
    settings = SETTINGS.model_copy(update={"operator_principals": ("ops",)})
    async with (
        running_resources(store, clock=clock, settings=settings) as resources,
        grpc.aio.insecure_channel(f"127.0.0.1:{resources.port}") as channel,
    ):
        reply = await UsageServiceStub(channel).Optimize(usage.OptimizeRequest(validate_only=True))
        assert list(reply.proposals) == []


async def test_by_default_whoever_is_on_loopback_is_an_operator_and_swaps_strategies(resources: Resources) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{resources.port}") as channel:
        service: Any = StrategyServiceStub(channel)
        await service.SetStrategy(strategies.SetStrategyRequest(request_id="s", subject=1, name="round_robin"))
        shown = (await service.ListStrategies(strategies.ListStrategiesRequest())).strategies
        assert [(each.subject, each.name) for each in shown if each.in_use] == [(1, "round_robin"), (2, "priority")]
        assert all(each.description for each in shown)
        for request, expected in (
            (strategies.SetStrategyRequest(request_id="w"), ["subject", "name"]),
            (strategies.SetStrategyRequest(request_id="w", subject=1, name="a b"), ["name"]),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await service.SetStrategy(request)
            assert fields_of(caught.value) == expected
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.SetStrategy(strategies.SetStrategyRequest(request_id="n", subject=1, name="guess"))
        assert reason_of(caught.value) == "STRATEGY_NOT_FOUND"
