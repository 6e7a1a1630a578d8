"""KEDA asks how many agents a pool is to have: through its own contract, byte by byte as its client sends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from externalscaler import externalscaler_pb2 as pb
from externalscaler.externalscaler_pb2_grpc import ExternalScalerStub
from support.refusals import reason_of_call
from support.registry import fields_of
from support.scaling import AgentPool, Scaling, running_scaling, seen
from tercio.api.scaling.v1 import scaling_service_pb2
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock

POOL = pb.ScaledObjectRef(name="agents", namespace="fleet", scalerMetadata={"poolId": "p", "scalerAddress": "t:7405"})
EXTERNAL = AgentPool.External()


@pytest.fixture
async def keda(scaling: Scaling) -> AsyncIterator[Any]:
    """Yield what KEDA calls with."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{scaling.port}") as channel:
        yield ExternalScalerStub(channel)


async def measured(keda: Any, reference: pb.ScaledObjectRef = POOL, *, name: str = "tercio-agents") -> int:
    reply = await keda.GetMetrics(pb.GetMetricsRequest(scaledObjectRef=reference, metricName=name))
    (value,) = reply.metricValues
    assert (value.metricName, value.metricValueFloat) == (name, float(value.metricValue))
    return int(value.metricValue)


async def next_of(stream: Any) -> Any:
    return await asyncio.wait_for(stream.read(), 10)


async def test_the_metric_is_the_number_of_agents_and_its_target_one_agent(scaling: Scaling, keda: Any) -> None:
    await scaling.apply(external=EXTERNAL, min_agents=0, max_agents=9)
    assert await measured(keda) == 0
    await scaling.scale(7)
    assert await measured(keda) == 7
    (spec,) = (await keda.GetMetricSpec(POOL)).metricSpecs
    assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == ("tercio-agents", 1, 1.0)
    assert (await next_of(keda.StreamMetricSpec(POOL))).metricSpecs[0] == spec


async def test_demand_moves_the_metric_and_an_outage_does_not(scaling: Scaling, keda: Any) -> None:
    await scaling.apply(external=EXTERNAL, min_agents=1, max_agents=9, up_step=9)
    await scaling.see(seen("p", "a", waiting=5))
    decided = await measured(keda)
    assert decided == (await scaling.get()).status.desired_count > 1
    await scaling.see(seen("p", waiting=9)._replace(demand_age=10**9))
    assert await measured(keda) == decided


async def test_a_pool_is_active_while_it_is_to_have_agents_and_every_change_is_told(
    scaling: Scaling, keda: Any
) -> None:
    await scaling.apply(external=EXTERNAL, min_agents=0, max_agents=9)
    assert not (await keda.IsActive(POOL)).result
    stream = keda.StreamIsActive(POOL)
    assert not (await next_of(stream)).result
    await scaling.scale(2)
    assert (await next_of(stream)).result
    assert (await keda.IsActive(POOL)).result
    await scaling.scale(3)
    await scaling.scale(0)
    assert not (await next_of(stream)).result
    stream.cancel()


async def test_a_stream_ends_with_its_pool(scaling: Scaling, keda: Any) -> None:
    await scaling.apply(external=EXTERNAL)
    stream = keda.StreamIsActive(POOL)
    assert (await next_of(stream)).result
    await scaling.stub.DeletePool(scaling_service_pb2.DeletePoolRequest(request_id=scaling.request_id(), pool_id="p"))
    assert await reason_of_call(next_of(stream)) == "POOL_NOT_FOUND"


async def test_what_keda_asks_wrongly_is_refused(scaling: Scaling, keda: Any) -> None:
    await scaling.apply(external=EXTERNAL)
    nobody = pb.ScaledObjectRef(scalerMetadata={"poolId": "q"})
    for call in (keda.IsActive(nobody), keda.GetMetricSpec(nobody), measured(keda, nobody)):
        assert await reason_of_call(call) == "POOL_NOT_FOUND"
    for call, field in (
        (keda.IsActive(pb.ScaledObjectRef(name="agents")), "scalerMetadata[poolId]"),
        (measured(keda, pb.ScaledObjectRef()), "scaledObjectRef.scalerMetadata[poolId]"),
        (measured(keda, name="s0-tercio-agents"), "metricName"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert fields_of(caught.value) == [field]


# A map's entry is a message of key and value: {"poolId": "p"} is field 3 of a reference.
REFERENCE = b"\x0a\x06agents\x12\x05fleet\x1a\x0b\x0a\x06poolId\x12\x01p"


@pytest.mark.parametrize(
    ("method", "request_bytes", "reply"),
    [
        pytest.param("IsActive", REFERENCE, b"\x08\x01", id="field 1 is the answer"),
        pytest.param(
            "GetMetricSpec",
            REFERENCE,
            b"\x0a\x1a\x0a\x0dtercio-agents\x10\x01\x19\x00\x00\x00\x00\x00\x00\xf0\x3f",
            id="a name, a whole target and a float",
        ),
        pytest.param(
            "GetMetrics",
            b"\x0a" + bytes([len(REFERENCE)]) + REFERENCE + b"\x12\x0dtercio-agents",
            b"\x0a\x1a\x0a\x0dtercio-agents\x10\x02\x19\x00\x00\x00\x00\x00\x00\x00\x40",
            id="a name, a whole number and a float",
        ),
    ],
)
async def test_the_bytes_are_those_of_kedas_contract(
    scaling: Scaling, method: str, request_bytes: bytes, reply: bytes
) -> None:
    await scaling.apply(external=EXTERNAL)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{scaling.port}") as channel:
        call = channel.unary_unary(f"/externalscaler.ExternalScaler/{method}")
        assert await call(request_bytes) == reply


async def test_any_replica_answers_keda(scaling: Scaling, store: MemoryStore, clock: ManualClock) -> None:
    await scaling.apply(external=EXTERNAL)
    async with (
        running_scaling(store, clock=clock, leads=False) as follower,
        grpc.aio.insecure_channel(f"127.0.0.1:{follower.port}") as channel,
    ):
        stub = ExternalScalerStub(channel)
        assert await measured(stub) == 2
        assert (await next_of(stub.StreamIsActive(POOL))).result
