"""Calls that wait until something is given back."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from support.registry import info_of, reason_of
from support.resources import Resources
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock

LONG = Duration(seconds=600)
SHORT = Duration(nanos=50_000_000)


async def waits(resources: Resources, owner: str, **fields: Any) -> asyncio.Task[list[int]]:
    """Return a call that waits, once it does."""
    before = len(resources.service.host.session.waiting)
    call = asyncio.create_task(resources.allocate(owner, wait_timeout=LONG, **fields))
    await eventually(lambda: len(resources.service.host.session.waiting) == before + 1)
    return call


async def test_a_call_waits_until_what_it_asks_for_is_given_back(resources: Resources) -> None:
    (held,) = await resources.allocate("a", amounts={"cpu": 800})
    call = await waits(resources, "b", amounts={"cpu": 500})
    await resources.release(held)
    assert (await call)[0] > held
    assert (await resources.pool()).granted == 500


async def test_the_higher_priority_is_served_first(resources: Resources) -> None:
    (held,) = await resources.allocate("a", amounts={"cpu": 800})
    low = await waits(resources, "low", amounts={"cpu": 600})
    high = await waits(resources, "high", amounts={"cpu": 600}, priority=5)
    await resources.release(held)
    (number,) = await high
    assert not low.done()
    await resources.release(number)
    await low


async def test_who_does_not_get_it_in_time_is_told_the_gap(resources: Resources) -> None:
    await resources.allocate("a", amounts={"cpu": 800})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await resources.allocate("b", amounts={"cpu": 500}, wait_timeout=SHORT)
    assert reason_of(caught.value) == "INSUFFICIENT_RESOURCES"
    assert info_of(caught.value).metadata["cpu.gap"] == "400"
    assert len(resources.service.host.session.waiting) == 0


async def test_a_call_that_is_cancelled_waits_no_more(resources: Resources) -> None:
    await resources.allocate("a", amounts={"cpu": 800})
    call = await waits(resources, "b", amounts={"cpu": 500})
    call.cancel()
    await eventually(lambda: len(resources.service.host.session.waiting) == 0)
    assert (await resources.pool()).granted == 800


async def test_who_waited_long_is_passed_by_nobody(resources: Resources, clock: ManualClock) -> None:
    (held,) = await resources.allocate("a", amounts={"cpu": 800})
    large = await waits(resources, "large", amounts={"cpu": 700})
    assert await resources.allocate("small", amounts={"cpu": 50})
    for _ in range(12):
        await clock.advance(1_000)
    await eventually(lambda: resources.service.host.session.waiting.kept == {"cpu"})
    with pytest.raises(grpc.aio.AioRpcError, match="not enough is free"):
        await resources.allocate("late", amounts={"cpu": 50})
    await resources.release(held)
    assert await large


async def test_room_that_an_operator_makes_serves_who_waits(resources: Resources) -> None:
    await resources.allocate("a", amounts={"cpu": 800})
    call = await waits(resources, "b", amounts={"cpu": 500})
    await resources.update(capacity=2_000)
    assert await call


async def test_an_emergency_waits_for_what_it_had_revoked(resources: Resources, clock: ManualClock) -> None:
    (held,) = await resources.allocate("a", amounts={"cpu": 800})
    call = await waits(resources, "b", amounts={"cpu": 600}, emergency=True, priority=9, request_id="urgent")
    await eventually(lambda: resources.service.host.machine.tables.allocations[held].revoke_at)
    assert not call.done()
    await clock.advance(10_000)
    (number,) = await call
    again = await resources.allocate(
        "b", amounts={"cpu": 600}, emergency=True, priority=9, wait_timeout=LONG, request_id="urgent"
    )
    assert again == [number]
