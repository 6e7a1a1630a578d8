"""Leases in memory end by the clock, as etcd's do."""

from __future__ import annotations

import asyncio

import pytest

from tercio_common.errors import FencedError, LeadershipLostError
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock

TTL_MS = 10_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock=clock, ttl_ms=TTL_MS)


async def test_a_silent_leader_is_succeeded_when_its_lease_ends(clock: ManualClock, store: MemoryStore) -> None:
    old = await store.election("alpha").campaign("a:1")
    waiting = asyncio.ensure_future(store.election("alpha").campaign("b:1"))
    await clock.advance(TTL_MS - 1)
    assert not waiting.done()
    await clock.advance(1)
    new = waiting.result()
    assert new.epoch > old.epoch
    assert new.since_boot_ms == old.since_boot_ms + TTL_MS
    with pytest.raises(FencedError):
        await store.journal("alpha").append(1, b"stale", epoch=old.epoch)
    await store.journal("alpha").append(1, b"one", epoch=new.epoch)


async def test_a_leader_that_renews_is_not_succeeded(clock: ManualClock, store: MemoryStore) -> None:
    election = store.election("alpha")
    leadership = await election.campaign("a:1")
    waiting = asyncio.ensure_future(store.election("alpha").campaign("b:1"))
    for _ in range(10):
        await clock.advance(TTL_MS // 2)
        await election.renew(leadership)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert clock.sleepers == 0


async def test_a_lease_that_ended_is_lost_even_if_nobody_took_it(clock: ManualClock, store: MemoryStore) -> None:
    election = store.election("alpha")
    leadership = await election.campaign("a:1")
    clock.jump(TTL_MS)
    with pytest.raises(LeadershipLostError):
        await election.renew(leadership)
    with pytest.raises(FencedError):
        await store.journal("alpha").append(1, b"stale", epoch=leadership.epoch)


async def test_observers_see_the_end_of_a_lease(clock: ManualClock, store: MemoryStore) -> None:
    leadership = await store.election("alpha").campaign("a:1")
    seen = store.election("alpha").observe()
    leader = await anext(seen)
    assert leader is not None
    assert leader.epoch == leadership.epoch
    following = asyncio.ensure_future(anext(seen))
    await clock.advance(TTL_MS)
    assert await following is None
    await seen.aclose()
