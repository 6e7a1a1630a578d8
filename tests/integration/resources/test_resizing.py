"""Growing, giving back, and taking back what is not used before somebody is refused, through real gRPC."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from grpc_status import rpc_status

from support.registry import fields_of, reason_of
from support.resources import SETTINGS, Resources, running_resources
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1 import usage_service_pb2 as usage
from tercio.api.resources.v1.usage_service_pb2_grpc import UsageServiceStub
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock


def request(request_id: str, number: int, amount: int, owner: str = "a") -> pb.ResizeRequest:
    amounts = [ResourceAmount(dimension="cpu", amount=amount)]
    return pb.ResizeRequest(request_id=request_id, allocation_id=number, owner=owner, amounts=amounts)


async def test_a_holder_gives_back_and_grows_again(resources: Resources) -> None:
    (number,) = await resources.allocate("a")
    for _ in range(2):
        reply = await resources.stub.Resize(request("less", number, 40))
        assert (reply.allocation.parts[0].amount.amount, reply.allocation.owner) == (40, "a")
    await resources.stub.Resize(request("more", number, 300))
    assert (await resources.pool()).granted == 300


async def test_what_is_missing_to_grow_is_told_in_detail(resources: Resources) -> None:
    (number,) = await resources.allocate("a")
    await resources.allocate("b", amounts={"cpu": 700})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await resources.stub.Resize(request("r", number, 400))
    assert reason_of(caught.value) == "INSUFFICIENT_RESOURCES"
    details = [each.type_url.rpartition(".")[2] for each in rpc_status.from_call(caught.value).details]
    assert "QuotaFailure" in details
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await resources.stub.Resize(pb.ResizeRequest(request_id="w"))
    assert fields_of(caught.value) == ["owner", "amounts"]


async def filled(resources: Resources, channel: grpc.aio.Channel, clock: ManualClock) -> None:
    """Let somebody hold 800 of 900 and use a tenth of it, for as long as is looked at."""
    (number,) = await resources.allocate("a", amounts={"cpu": 800})
    stub: Any = UsageServiceStub(channel)
    for index in range(3):
        await clock.advance(1_000)
        used = [ResourceAmount(dimension="cpu", amount=80)]
        report = usage.ReportUsageRequest.Report(allocation_id=number, used=used)
        await stub.ReportUsage(usage.ReportUsageRequest(request_id=f"u{index}", reports=[report]))


@pytest.mark.parametrize("relief", [("reclaim", "shrink"), ()], ids=["by default", "switched off"])
async def test_what_is_not_used_is_taken_back_before_somebody_is_refused(
    relief: tuple[str, ...], store: MemoryStore, clock: ManualClock
) -> None:
    settings = SETTINGS.model_copy(update={"idle_ms": 2_000, "relief": relief})
    async with (
        running_resources(store, clock=clock, settings=settings) as resources,
        grpc.aio.insecure_channel(f"127.0.0.1:{resources.port}") as channel,
    ):
        await filled(resources, channel, clock)
        if relief:
            assert await resources.allocate("b", amounts={"cpu": 500})
            assert (await resources.pool()).granted == 584
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await resources.allocate("c", amounts={"cpu": 500})
        assert reason_of(caught.value) == "INSUFFICIENT_RESOURCES"
