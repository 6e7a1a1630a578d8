"""Tails of journals that live in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from tercio_common.journal.port import Segment


class Growth:
    """Tells everybody who follows a journal that it grew."""

    def __init__(self) -> None:
        self._followers: set[asyncio.Event] = set()

    def notify(self) -> None:
        """Wake every follower; called on the event loop."""
        for event in self._followers:
            event.set()

    @contextlib.contextmanager
    def following(self) -> Iterator[asyncio.Event]:
        """Yield an event that is set by each growth."""
        event = asyncio.Event()
        self._followers.add(event)
        try:
            yield event
        finally:
            self._followers.discard(event)


async def follow(growth: Growth, read: Callable[[int], Awaitable[list[Segment]]], after: int) -> AsyncIterator[Segment]:
    """Give segments from `after + 1` on, for ever."""
    with growth.following() as grown:
        while True:
            # Cleared before reading: what is appended after the read sets it again.
            grown.clear()
            segments = await read(after)
            for segment in segments:
                after = segment.number
                yield segment
            if not segments:
                await grown.wait()
