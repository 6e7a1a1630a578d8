"""Time by hand wakes everybody at the right time, in the right order."""

from __future__ import annotations

import asyncio

from tercio_common.testing.manual_clock import ManualClock


async def test_sleepers_wake_in_order_each_at_its_own_time() -> None:
    clock = ManualClock(boot_ms=0)
    woken: list[tuple[str, int]] = []

    async def sleeper(name: str, *durations: int) -> None:
        for duration in durations:
            await clock.sleep_ms(duration)
            woken.append((name, clock.boot_ms()))

    tasks = [asyncio.ensure_future(sleeper("a", 10, 10)), asyncio.ensure_future(sleeper("b", 15))]
    await clock.advance(18)
    assert woken == [("a", 10), ("b", 15)]
    await clock.advance(2)
    assert woken[2:] == [("a", 20)]
    await asyncio.gather(*tasks)


async def test_after_a_jump_sleepers_find_that_it_is_late() -> None:
    clock = ManualClock(boot_ms=0, wall_ms=100)
    sleeping = asyncio.ensure_future(clock.sleep_ms(10))
    await clock.settle()
    clock.jump(50)
    await sleeping
    assert (clock.boot_ms(), clock.wall_ms()) == (50, 150)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    sleeping = asyncio.ensure_future(clock.sleep_ms(10))
    await clock.settle()
    assert clock.sleepers == 1
    sleeping.cancel()
    await asyncio.gather(sleeping, return_exceptions=True)
    assert clock.sleepers == 0
    await clock.advance(10)
