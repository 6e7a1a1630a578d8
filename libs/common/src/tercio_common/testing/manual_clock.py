"""Time by hand: nothing passes until a test says so."""

from __future__ import annotations

import asyncio
import heapq

_TURNS = 50
"""Turns of the event loop after each wake-up: more than any chain of callbacks that a sleeper's end sets off."""


class ManualClock:
    """A `Clock` that stands still."""

    def __init__(self, *, boot_ms: int = 1_000_000, wall_ms: int = 1_700_000_000_000) -> None:
        self._boot_ms = boot_ms
        self._wall_ms = wall_ms
        self._count = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def boot_ms(self) -> int:
        return self._boot_ms

    def wall_ms(self) -> int:
        return self._wall_ms

    async def sleep_ms(self, duration: int) -> None:
        if duration <= 0:
            await asyncio.sleep(0)
            return
        self._count += 1
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._boot_ms + duration, self._count, woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many tasks sleep."""
        return sum(not sleeper.done() for _, _, sleeper in self._sleepers)

    async def advance(self, duration: int) -> None:
        """Let that many milliseconds pass, with each sleeper woken at its own time, in order."""
        end = self._boot_ms + duration
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._pass(self._sleepers[0][0] - self._boot_ms)
            self._wake_next()
            await self.settle()
        self._pass(end - self._boot_ms)
        await self.settle()

    def jump(self, duration: int) -> None:
        """Let that time pass at once, as for a process that was stopped: sleepers wake late, when the caller waits."""
        self._pass(duration)
        while self._sleepers and self._sleepers[0][0] <= self._boot_ms:
            self._wake_next()

    def set_wall(self, wall_ms: int) -> None:
        """Set the wall clock, as an operator may."""
        self._wall_ms = wall_ms

    async def settle(self) -> None:
        """Let every task run until it waits."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _pass(self, duration: int) -> None:
        self._boot_ms += duration
        self._wall_ms += duration

    def _wake_next(self) -> None:
        _, _, sleeper = heapq.heappop(self._sleepers)
        if not sleeper.done():
            sleeper.set_result(None)
