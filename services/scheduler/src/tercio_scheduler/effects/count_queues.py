"""Counts what comes and goes, from when somebody first asks: until then a task costs nothing here."""

from __future__ import annotations

import asyncio
from typing import Final

from tercio_common.machine.host import Host
from tercio_scheduler.state.session import SchedulerSession

_NAME: Final = "queues"


class QueueCounter:
    """The effect, and the way to begin it."""

    def __init__(self) -> None:
        """Count nothing yet."""
        self._wanted = asyncio.Event()

    def begin(self) -> None:
        """Count from now on, in this term and every later one of this replica."""
        self._wanted.set()

    async def run(self, host: Host) -> None:
        """Count for as long as the leadership lasts."""
        await self._wanted.wait()
        session: SchedulerSession = host.session
        counts = session.queue_counts
        counts.began = host.moment().now
        async for entry in host.feed.follow(_NAME):
            counts.count(entry.changes.rows("tasks").values(), seq=entry.seq)
