"""Tasks for a run, agents for them, and what the client saw, entered into the recording."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from tercio import Agent, Client, Context, TaskError, TaskHandle, TaskState
from tercio_common.testing.history import ACKNOWLEDGED, LISTED, RESOLVED, Observation, Recorder

NOTHING_THERE = "127.0.0.1:9"

Handler = Callable[[Context], Coroutine[Any, Any, Any]]


def point_at(scheduler: str, *, environment: pytest.MonkeyPatch) -> None:
    """Tell clients and agents of this process where the scheduler is, and that there is no registry."""
    environment.setenv("TERCIO_SCHEDULER_ADDRESS", scheduler)
    environment.setenv("TERCIO_REGISTRY_ADDRESS", NOTHING_THERE)


@contextlib.asynccontextmanager
async def agents(count: int, *, task_type: str, handler: Handler, concurrency: int = 8) -> AsyncIterator[list[Agent]]:
    """Run agents in this process while the context is open."""
    members = [Agent(agent_id=f"agent-{number}", concurrency=concurrency) for number in range(count)]
    for member in members:
        member.task(task_type)(handler)
    running = [asyncio.create_task(member.run()) for member in members]
    try:
        yield members
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class Workload:
    """Submits tasks and notes what became of them, as the client was told."""

    def __init__(self, client: Client, recorder: Recorder) -> None:
        """Submit through `client`; observations go to `recorder`."""
        self._client = client
        self._recorder = recorder
        self._following: list[asyncio.Task[TaskState]] = []
        self._news = asyncio.Event()
        self.acknowledged = 0
        self.resolved = 0

    async def submit(self, count: int, *, task_type: str, payload: str = "") -> None:
        """Enqueue that many tasks; `states` waits for them."""
        for _ in range(count):
            await self._client.room()
            self.follow(self._client.enqueue(task_type, payload))

    def follow(self, handle: TaskHandle) -> None:
        """Note what becomes of one task."""
        self._following.append(asyncio.create_task(self._follow(handle)))

    async def until_resolved(self, count: int) -> None:
        """Wait until that many tasks have ended, and not one turn of the event loop longer."""
        while self.resolved < count:
            self._news.clear()
            await self._news.wait()

    async def states(self) -> list[TaskState]:
        """Wait until every task has ended; return their states."""
        return list(await asyncio.gather(*self._following))

    async def give_up(self) -> None:
        """Stop waiting: what is not known by now stays unknown."""
        for one in self._following:
            one.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    async def note_listing(self) -> None:
        """Enter every task that the scheduler lists."""
        async for task in self._client.list(page_size=1000):
            self._recorder.observe(Observation(LISTED, task.task_id, TaskState(task.state).name))

    async def _follow(self, handle: TaskHandle) -> TaskState:
        await handle.accepted()
        self.acknowledged += 1
        self._recorder.observe(Observation(ACKNOWLEDGED, handle.task_id))
        with contextlib.suppress(TaskError):
            await handle.result()
        self.resolved += 1
        self._news.set()
        self._recorder.observe(Observation(RESOLVED, handle.task_id, handle.state.name))
        return handle.state
