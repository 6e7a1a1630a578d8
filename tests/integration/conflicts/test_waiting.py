"""Calls that wait for claims: in order, in time, and never in a cycle."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from support.conflicts import BATCH, SHARED, Conflicts, running_conflicts
from support.registry import info_of, reason_of
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock
from tercio_conflicts.settings import ConflictsSettings

LONG = Duration(seconds=600)
SHORT = Duration(nanos=50_000_000)


async def waits(conflicts: Conflicts, owner: str, *names: str, **fields: Any) -> asyncio.Task[list[int]]:
    """Return a call that waits, once it does."""
    before = len(conflicts.service.host.session.waiting)
    call = asyncio.create_task(conflicts.acquire(owner, *names, wait_timeout=LONG, **fields))
    await eventually(lambda: len(conflicts.service.host.session.waiting) == before + 1)
    return call


async def reason(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return reason_of(caught.value)


async def test_a_call_waits_until_its_claim_is_released(conflicts: Conflicts) -> None:
    (held,) = await conflicts.acquire("a", "x")
    call = await waits(conflicts, "b", "x")
    await conflicts.release(held)
    assert (await call)[0] > held


async def test_the_higher_priority_is_served_first(conflicts: Conflicts) -> None:
    (held,) = await conflicts.acquire("a", "x")
    low = await waits(conflicts, "low", "x")
    high = await waits(conflicts, "high", "x", priority=5)
    await conflicts.release(held)
    (number,) = await high
    assert not low.done()
    await conflicts.release(number)
    await low


async def test_nobody_passes_who_waits_unless_its_priority_is_higher(conflicts: Conflicts) -> None:
    (held,) = await conflicts.acquire("a", "x", mode=SHARED)
    editor = await waits(conflicts, "editor", "x")
    assert await reason(conflicts.acquire("reader", "x", mode=SHARED)) == "CLAIM_CONFLICT"
    (urgent,) = await conflicts.acquire("urgent", "x", mode=SHARED, priority=1)
    await conflicts.release(held, urgent)
    assert await editor


async def test_waiting_raises_a_priority(conflicts: Conflicts, clock: ManualClock) -> None:
    (held,) = await conflicts.acquire("a", "x", ttl=Duration(seconds=3600))
    old = await waits(conflicts, "old", "x")
    for _ in range(21):
        await clock.advance(1_000)
    young = await waits(conflicts, "young", "x", priority=2)
    await conflicts.release(held)
    assert await old
    assert not young.done()
    young.cancel()


async def test_who_holds_what_a_waiting_call_needs_is_not_held_up_by_it(conflicts: Conflicts) -> None:
    (shared,) = await conflicts.acquire("a", "x", mode=SHARED)
    editor = await waits(conflicts, "b", "x")
    (exclusive,) = await conflicts.acquire("a", "x")
    await conflicts.release(shared, exclusive)
    assert await editor


async def test_who_does_not_get_it_in_time_is_told_who_is_in_the_way(conflicts: Conflicts) -> None:
    await conflicts.acquire("a", "x")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await conflicts.acquire("b", "x", wait_timeout=SHORT)
    assert info_of(caught.value).metadata["owner"] == "a"
    assert len(conflicts.service.host.session.waiting) == 0


async def test_a_call_that_is_cancelled_waits_no_more(conflicts: Conflicts) -> None:
    await conflicts.acquire("a", "x", mode=SHARED)
    call = await waits(conflicts, "b", "x")
    call.cancel()
    await eventually(lambda: len(conflicts.service.host.session.waiting) == 0)
    assert await conflicts.acquire("c", "x", mode=SHARED)


async def test_two_that_upgrade_at_once_are_told_apart_within_a_period(
    conflicts: Conflicts, clock: ManualClock
) -> None:
    (first,) = await conflicts.acquire("a", "x", mode=SHARED)
    (second,) = await conflicts.acquire("b", "x", mode=SHARED)
    elder, younger = await waits(conflicts, "a", "x"), await waits(conflicts, "b", "x")
    await clock.advance(1_000)
    assert await reason(younger) == "DEADLOCK_VICTIM"
    await conflicts.release(second)
    assert await elder
    await conflicts.release(first)


async def test_the_lowest_priority_of_a_cycle_gives_way(conflicts: Conflicts, clock: ManualClock) -> None:
    for owner, name in (("a", "x"), ("b", "y"), ("c", "z")):
        await conflicts.acquire(owner, name)
    calls = [
        await waits(conflicts, "a", "y", priority=3),
        await waits(conflicts, "b", "z", priority=1),
        await waits(conflicts, "c", "x", priority=2),
    ]
    await clock.advance(1_000)
    assert await reason(calls[1]) == "DEADLOCK_VICTIM"
    await conflicts.release(owners=("b",))
    assert await calls[0]
    for call in calls:
        call.cancel()


async def test_a_batch_waits_for_all_of_it(conflicts: Conflicts) -> None:
    (x,) = await conflicts.acquire("a", "x")
    (y,) = await conflicts.acquire("b", "y")
    call = await waits(conflicts, "c", "x", "y", atomicity=BATCH)
    await conflicts.release(x)
    assert not call.done()
    assert await reason(conflicts.acquire("d", "x", mode=SHARED)) == "CLAIM_CONFLICT"
    await conflicts.release(y)
    assert len(await call) == 2


async def test_more_than_may_wait_are_refused(store: MemoryStore, clock: ManualClock) -> None:
    settings = ConflictsSettings(max_waiting=1, owner_limit=1)
    async with running_conflicts(store, clock=clock, settings=settings) as conflicts:
        await conflicts.acquire("a", "x")
        call = await waits(conflicts, "b", "x")
        assert await reason(conflicts.acquire("c", "x", wait_timeout=LONG)) == "QUEUE_FULL"
        assert await reason(conflicts.acquire("a", "y")) == "CLAIM_LIMIT_EXCEEDED"
        call.cancel()


async def test_a_waiting_call_ends_with_its_leader(conflicts: Conflicts) -> None:
    await conflicts.acquire("a", "x")
    call = await waits(conflicts, "b", "x")
    await conflicts.service.host.drain()
    assert await reason(call) == "NO_LEADER"


async def test_who_pre_empts_and_waits_is_granted_once_the_holder_has_yielded(
    conflicts: Conflicts, clock: ManualClock
) -> None:
    await conflicts.acquire("a", "x", ttl=LONG)
    asked: dict[str, Any] = {"priority": 1, "preempt": True, "request_id": conflicts.request_id()}
    call = await waits(conflicts, "b", "x", **asked)
    assert [claim.asked_by for claim in await conflicts.listed("state = YIELDING")] == ["b"]
    for _ in range(6):
        await clock.advance(1_000)
    (number,) = await call
    assert [claim.owner for claim in await conflicts.listed()] == ["b"]
    assert await conflicts.acquire("b", "x", wait_timeout=LONG, **asked) == [number]
