"""Endless tasks that are watched: one that ends is an error, logged at once.

What can begin anew does so after a pause, and the rest goes on meanwhile; what cannot takes the process down. A server
whose renewals, timers or feed have silently stopped is worse than one that is restarted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NoReturn

import structlog
from prometheus_client import Counter

from tercio_common.clock import Clock

FAILURES = Counter(
    "tercio_background_failures", "Endless tasks and listeners that failed unexpectedly, by what failed.", ("task",)
)
_FIRST_PAUSE_MS: Final = 200
_LONGEST_PAUSE_MS: Final = 30_000
"""What fails at once costs little at half a minute, and what fails by chance is back at once."""
_log = structlog.get_logger(__name__)


class Background:
    """The endless tasks of one process."""

    def __init__(self) -> None:
        """Start with none."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._expected: set[asyncio.Task[None]] = set()
        self.failed = asyncio.Event()
        self.error: BaseException | None = None

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
        self.error = self.error or error
        _log.error("background_task_ended", task=task.get_name(), consequence="the process stops", exc_info=error)
        self.failed.set()


class Pauses:
    """How long to wait after each failure: twice as long each time, anew after a time without one."""

    def __init__(self, *, clock: Clock) -> None:
        """Begin with the shortest."""
        self._clock = clock
        self._next_ms, self._since = _FIRST_PAUSE_MS, clock.boot_ms()

    def next_ms(self) -> int:
        """Return the wait after a failure that happens now, 200 ms to 30 s."""
        now, pause = self._clock.boot_ms(), self._next_ms
        if now - self._since > _LONGEST_PAUSE_MS:
            pause = _FIRST_PAUSE_MS
        self._next_ms, self._since = min(2 * pause, _LONGEST_PAUSE_MS), now + pause
        return pause


async def run_for_ever(
    name: str, work: Callable[[], Awaitable[None]], *, clock: Clock, ended_by: tuple[type[Exception], ...] = ()
) -> NoReturn:
    """Run `work` over and over: an end of it is a failure, which is logged and counted, and it begins anew.

    Raises:
        Exception: one of `ended_by`, which `work` raised.
    """
    pauses = Pauses(clock=clock)
    while True:
        try:
            await work()
            raise RuntimeError(f"{name} should run for ever and returned")
        except ended_by:
            raise
        except Exception:
            pause_ms = pauses.next_ms()
            note_failure(name, consequence=f"it begins anew in {pause_ms} ms")
        await clock.sleep_ms(pause_ms)


def note_failure(name: str, *, consequence: str) -> None:
    """Log and count the exception that is being handled."""
    FAILURES.labels(name).inc()
    _log.exception("background_task_failed", task=name, consequence=consequence)
