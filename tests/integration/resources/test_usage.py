"""Usage, predictions and proposals through real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from support.registry import fields_of, reason_of
from support.resources import SETTINGS, Resources, running_resources
from tercio.api.resources.v1 import allocation_pb2, usage_pb2
from tercio.api.resources.v1 import resource_service_pb2 as resource_pb
from tercio.api.resources.v1 import usage_service_pb2 as pb
from tercio.api.resources.v1.usage_service_pb2_grpc import UsageServiceStub
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock

Kind = usage_pb2.Proposal.Kind


@pytest.fixture
async def stub(resources: Resources) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{resources.port}") as channel:
        yield UsageServiceStub(channel)


def report(request_id: str, *numbers: int, used: int, task_type: str = "", unit: str = "") -> pb.ReportUsageRequest:
    amounts = [ResourceAmount(dimension="cpu", amount=used, unit=unit)]
    reports = [
        pb.ReportUsageRequest.Report(allocation_id=number, used=amounts, task_type=task_type) for number in numbers
    ]
    return pb.ReportUsageRequest(request_id=request_id, reports=reports)


async def test_what_is_reported_is_listed_and_summed_up(resources: Resources, stub: Any) -> None:
    first, second = await resources.allocate("a", "b")
    reply = await stub.ReportUsage(report("u", first, second, 77, used=80, task_type="compile"))
    assert list(reply.unknown_allocation_ids) == [77]
    page = await stub.ListUsages(pb.ListUsagesRequest(page_size=1))
    rest = await stub.ListUsages(pb.ListUsagesRequest(page_token=page.next_page_token))
    usages = [*page.usages, *rest.usages]
    assert [(each.owner, each.parts[0].used, each.parts[0].granted) for each in usages] == [
        ("a", 80, 100),
        ("b", 80, 100),
    ]
    (shown,) = (await stub.GetEfficiency(pb.GetEfficiencyRequest())).efficiencies
    assert (shown.granted, shown.used, shown.per_mille, shown.below_target) == (200, 160, 800, True)


async def test_a_retry_of_a_report_is_not_counted_twice(resources: Resources, stub: Any) -> None:
    (number,) = await resources.allocate("a")
    for _ in range(2):
        await stub.ReportUsage(report("u", number, used=80))
    assert (await stub.ListUsages(pb.ListUsagesRequest())).usages[0].report_count == 1


async def test_a_task_is_predicted_from_those_that_ended(resources: Resources, stub: Any) -> None:
    request = pb.GetPredictionRequest(task_type="compile")
    default = (await stub.GetPrediction(request)).prediction
    assert [(each.dimension, each.amount, each.unit) for each in default.amounts] == [
        ("cpu", 1_000, "millicores"),
        ("memory", 512, "MB"),
    ]
    assert default.task_count == 0
    (number,) = await resources.allocate("a")
    await stub.ReportUsage(report("u", number, used=80, task_type="compile"))
    await resources.release(number)
    learned = (await stub.GetPrediction(request)).prediction
    assert ([each.amount for each in learned.amounts], learned.task_count) == ([96], 1)


async def test_proposals_are_shown_then_carried_out_once_and_told_by_the_watch(
    store: MemoryStore, clock: ManualClock
) -> None:
    settings = SETTINGS.model_copy(update={"idle_ms": 2_000})
    async with (
        running_resources(store, clock=clock, settings=settings) as resources,
        grpc.aio.insecure_channel(f"127.0.0.1:{resources.port}") as channel,
    ):
        stub: Any = UsageServiceStub(channel)
        (number,) = await resources.allocate("a")
        for index in range(3):
            await clock.advance(1_000)
            await stub.ReportUsage(report(f"u{index}", number, used=50))
        watch = resources.stub.WatchAllocations(resource_pb.WatchAllocationsRequest())
        await asyncio.wait_for(watch.read(), 10)
        dry = await stub.Optimize(pb.OptimizeRequest(validate_only=True, kinds=[Kind.KIND_SHRINK]))
        assert [(each.kind, each.freed.amount, each.pool_id) for each in dry.proposals] == [
            (Kind.KIND_SHRINK, 47, "cpu")
        ]
        assert (await resources.pool()).granted == 100
        for _ in range(2):
            done = await stub.Optimize(pb.OptimizeRequest(request_id="o", kinds=[Kind.KIND_SHRINK]))
            assert len(done.proposals) == 1
        told = (await asyncio.wait_for(watch.read(), 10)).allocations
        assert [held.parts[0].amount.amount for held in told] == [53]
        assert told[0].state == allocation_pb2.Allocation.State.STATE_ACTIVE
        assert (await resources.pool()).granted == 53
        watch.cancel()


async def test_a_pool_that_fills_is_foreseen_to_run_out(store: MemoryStore, clock: ManualClock) -> None:
    settings = SETTINGS.model_copy(update={"sample_ms": 1_000})
    async with (
        running_resources(store, clock=clock, settings=settings) as resources,
        grpc.aio.insecure_channel(f"127.0.0.1:{resources.port}") as channel,
    ):
        stub: Any = UsageServiceStub(channel)

        async def forecast() -> Any:
            (found,) = (await stub.ListForecasts(pb.ListForecastsRequest())).forecasts
            return found

        assert not (await forecast()).HasField("exhaust_time")
        for index in range(6):
            await resources.allocate(f"o{index}")
            await clock.advance(1_000)
        found = await forecast()
        assert (found.pool_id, found.unit, found.grantable, found.granted) == ("cpu", "millicores", 900, 600)
        assert found.sample_count >= 5
        assert found.growth_per_hour > 0
        assert found.HasField("exhaust_time")


async def test_every_violation_is_reported(resources: Resources, stub: Any) -> None:
    wrong = pb.ReportUsageRequest(reports=[pb.ReportUsageRequest.Report(allocation_id=1, task_type="a b")])
    for call, fields in (
        (stub.ReportUsage(wrong), ["reports[0].task_type", "reports[0].used"]),
        (stub.GetPrediction(pb.GetPredictionRequest()), ["task_type"]),
        (stub.Optimize(pb.OptimizeRequest(kinds=[9])), ["kinds[0]"]),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert fields_of(caught.value) == fields
    (number,) = await resources.allocate("a")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ReportUsage(report("u", number, used=1, unit="cores"))
    assert reason_of(caught.value) == "UNIT_MISMATCH"
