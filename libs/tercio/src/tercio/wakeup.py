"""Wakes one waiting task, from the loop's own thread, at the price of a flag while it is awake."""

from __future__ import annotations

import asyncio


class Wakeup:
    """What `asyncio.Event` is, for one waiter that takes the signal with it.

    A signal wakes the waiter in the next loop turn, so everything that happens in this turn is found at once: that is
    how single calls become batches.
    """

    __slots__ = ("_is_set", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: asyncio.Future[None] | None = None

    def signal(self) -> None:
        """Wake the waiter, or let its next wait return at once."""
        if self._is_set:
            return
        self._is_set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Return when there was a signal since the last wait."""
        if not self._is_set:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._is_set = False
