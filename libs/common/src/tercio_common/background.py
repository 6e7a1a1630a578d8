"""Endless tasks that are watched: one that ends is an error, logged at once, and takes the process down.

A server whose renewals, timers or feed have silently stopped is worse than one that is restarted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


class Background:
    """The endless tasks of one process."""

    def __init__(self) -> None:
        """Start with none."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._expected: set[asyncio.Task[None]] = set()
        self.failed = asyncio.Event()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` until `stop`; its end before that sets `failed`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def may_end(self, task: asyncio.Task[None]) -> None:
        """From now on the task's end is no failure: it was asked to finish."""
        self._expected.add(task)

    async def end(self, *tasks: asyncio.Task[None]) -> None:
        """Cancel these tasks and wait for their end."""
        self._expected.update(tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Cancel every task and wait for its end."""
        await self.end(*self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        expected = task in self._expected
        self._tasks.discard(task)
        self._expected.discard(task)
        error = None if task.cancelled() else task.exception()
        if expected and error is None:
            return
        _log.error("background_task_ended", task=task.get_name(), consequence="the process stops", exc_info=error)
        self.failed.set()
