"""Short tasks through the public SDK, and what the client was told of them.

What is submitted follows from the seed: tasks that work, that fail once, that always fail, that take longer than they
may, that are cancelled, and that wait for another.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tercio import CallError, Client, ExhaustedError, RetryPolicy, TaskError, TaskHandle, TaskState
from tercio_common.testing.chaos.fleet import Fleet
from tercio_common.testing.history import ACKNOWLEDGED, LISTED, RESOLVED, Observation

WORK: Final = "chaos-work"
FLAKY: Final = "chaos-flaky"
POISON: Final = "chaos-poison"

_RETRY: Final = RetryPolicy(max_attempts=5, initial_backoff=timedelta(milliseconds=20), multiplier=1.5)
_FEW_TRIES: Final = RetryPolicy(max_attempts=2, initial_backoff=timedelta(milliseconds=20), multiplier=1.5)
_TOO_SHORT: Final = timedelta(milliseconds=150)
_LONG_WORK_MS: Final = 400
_TURNED_AWAY: Final = "STORE_NEARLY_FULL"
"""The refusal of new work while the store is nearly full: the client knows, so nothing is lost."""
_FAR: Final = timedelta(hours=2)
"""A deadline that no jump of a wall clock by an hour may reach."""
_PAUSE_S: Final = 0.1
_BURST: Final = 20
"""Tasks that are submitted in one turn of the event loop."""
_OPEN: Final = frozenset(TaskState) - {
    TaskState.UNSPECIFIED,
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.CANCELLED,
    TaskState.DEAD_LETTER,
}


class Workload:
    """Submits tasks and notes what became of them, as the client was told."""

    def __init__(self, client: Client, fleet: Fleet, observe: Callable[[Observation], None], *, seed: int) -> None:
        """Submit through `client`; what it is told goes to `observe`, and what must not be to the fleet."""
        self._client = client
        self._fleet = fleet
        self._observe = observe
        self._rng = random.Random(seed)
        self._following: list[asyncio.Task[None]] = []
        self._last: TaskHandle | None = None
        self.submitted = 0
        self.acknowledged = 0
        self.ended: Counter[TaskState] = Counter()
        self.refused: Counter[str] = Counter()
        self._turned_away: set[str] = set()

    async def run(self, count: int, *, seconds: float) -> None:
        """Submit that many tasks in bursts, evenly over that time."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while self.submitted < count:
            due = begin + seconds * self.submitted / count
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._client.room()
            for _ in range(min(self._rng.randint(1, _BURST), count - self.submitted)):
                self._submit()

    async def submit_work(self) -> TaskHandle:
        """Submit one more task that succeeds; returns once it is accepted."""
        while True:
            handle = self._client.enqueue(WORK, "1")
            try:
                await handle.accepted()
            except ExhaustedError as error:
                await asyncio.sleep(max(error.retry_after_ms / 1000, _PAUSE_S))
            else:
                return self._follow(handle)

    async def all_ended(self) -> None:
        """Wait until the client was told the end of every task."""
        await asyncio.gather(*self._following)

    async def nothing_is_open(self) -> bool:
        """Tell whether the scheduler lists no task that has not ended."""
        async for _ in self._client.list(states=_OPEN, page_size=1):
            return False
        return True

    async def note_listing(self) -> None:
        """Enter every task that the scheduler lists, and those that others submitted."""
        for task_id in self._fleet.accepted:
            self._observe(Observation(ACKNOWLEDGED, task_id))
        async for task in self._client.list(page_size=1000):
            self._observe(Observation(LISTED, task.task_id, TaskState(task.state).name))

    async def give_up(self) -> None:
        """Stop waiting: what is not known by now stays unknown."""
        for one in self._following:
            one.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    def _submit(self) -> None:
        makers = (self._work, self._flaky, self._poison, self._too_long, self._cancelled, self._dependent)
        make = self._rng.choices(makers, weights=(80, 6, 4, 2, 4, 4))[0]
        self._last = make()

    def _work(self) -> TaskHandle:
        return self._enqueue(
            WORK, self._rng.randint(0, 20), priority=self._rng.randint(0, 9), deadline=datetime.now(UTC) + _FAR
        )

    def _flaky(self) -> TaskHandle:
        return self._enqueue(FLAKY, 0)

    def _poison(self) -> TaskHandle:
        return self._enqueue(POISON, 0, retry=_FEW_TRIES)

    def _too_long(self) -> TaskHandle:
        return self._enqueue(WORK, _LONG_WORK_MS, attempt_timeout=_TOO_SHORT, retry=_FEW_TRIES)

    def _cancelled(self) -> TaskHandle:
        handle = self._enqueue(WORK, _LONG_WORK_MS)
        self._following.append(asyncio.create_task(self._cancel(handle, after_s=self._rng.uniform(0.0, 0.5))))
        return handle

    def _dependent(self) -> TaskHandle:
        parents = () if self._last is None else (self._last.task_id,)
        return self._enqueue(WORK, 1, depends_on=parents)

    def _enqueue(self, task_type: str, work_ms: int, **options: Any) -> TaskHandle:
        options.setdefault("retry", _RETRY)
        parents = options.get("depends_on", ())
        return self._follow(self._client.enqueue(task_type, str(work_ms), **options), parents=parents)

    def _follow(self, handle: TaskHandle, *, parents: Sequence[str] = ()) -> TaskHandle:
        self.submitted += 1
        self._following.append(asyncio.create_task(self._note(handle, parents)))
        return handle

    async def _note(self, handle: TaskHandle, parents: Sequence[str]) -> None:
        try:
            await handle.accepted()
        except CallError as error:
            if error.reason == _TURNED_AWAY or not self._turned_away.isdisjoint(parents):
                self._turned_away.add(handle.task_id)
            else:
                self.refused[error.reason or error.code.name] += 1
            return
        self.acknowledged += 1
        self._observe(Observation(ACKNOWLEDGED, handle.task_id))
        try:
            await handle.result()
        except TaskError:
            pass
        except CallError as error:
            self._fleet.complain("G1", "Workload", f"task {handle.task_id} was accepted, and then: {error}")
            return
        self.ended[handle.state] += 1
        self._observe(Observation(RESOLVED, handle.task_id, handle.state.name))

    async def _cancel(self, handle: TaskHandle, *, after_s: float) -> None:
        try:
            await handle.accepted()
            await asyncio.sleep(after_s)
            await self._client.cancel(handle.task_id)
        except CallError:
            return  # it ended before, or nobody answered: what counts is what the journal says
