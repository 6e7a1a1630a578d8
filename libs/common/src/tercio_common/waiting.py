"""Waiting for an event, but not for ever."""

from __future__ import annotations

import asyncio

from tercio_common.clock import Clock


async def set_within(event: asyncio.Event, duration_ms: int, *, clock: Clock) -> bool:
    """Wait until the event is set or the time is over; tell whether it is set."""
    waits = (asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep_ms(duration_ms)))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return event.is_set()
