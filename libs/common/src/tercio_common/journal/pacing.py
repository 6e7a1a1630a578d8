"""How a leader works beside the hot path: in short slices, and again while the store does not answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tercio_common.clock import Clock
from tercio_common.errors import NotProposedError, OutcomeUnknownError, StoreUnavailableError

_SLICE_SECONDS = 0.002
_PACE, _LONGEST_REST_MS = 3, 1_000
"""Pause for this many times the time that a slice or a call to the store took. A task's way takes dozens of turns of
the event loop: without a pause each of them would wait for a slice. An outage of the store is no measure for it."""
_FIRST_RETRY_MS, _LONGEST_RETRY_MS = 50, 2_000

T = TypeVar("T")


class Pace:
    """Keeps one piece of work to a quarter of the time."""

    def __init__(self, clock: Clock) -> None:
        """Begin a slice."""
        self._clock = clock
        self._began = time.perf_counter()

    async def breathe(self) -> None:
        """Rest if the slice is over."""
        if time.perf_counter() - self._began > _SLICE_SECONDS:
            await self.rest()

    async def rest(self) -> None:
        """Rest in proportion to the slice, and begin the next."""
        rest_ms = int(_PACE * 1000 * (time.perf_counter() - self._began))
        await self._clock.sleep_ms(min(rest_ms, _LONGEST_REST_MS))
        self._began = time.perf_counter()


async def insist(step: Callable[[], Awaitable[T]], *, clock: Clock) -> T:
    """Repeat a step that may be repeated, until it has a definite outcome."""
    pause = _FIRST_RETRY_MS
    while True:
        try:
            return await step()
        except (NotProposedError, OutcomeUnknownError, StoreUnavailableError):
            await clock.sleep_ms(pause)
            pause = min(2 * pause, _LONGEST_RETRY_MS)
