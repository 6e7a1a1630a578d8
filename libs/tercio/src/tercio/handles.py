"""A caller's hold on one task."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from tercio.errors import TercioError
from tercio.payloads import decode_json
from tercio.states import TaskState


class TaskHandle:
    """One submitted task. `await handle` gives its result; so does `await handle.result()`.

    Nothing is lost when nobody awaits it: the task goes its way, and an error that nobody asks for is not raised.
    """

    # A future for each of ten thousand tasks would cost as much as the rest of their submission, so they are made on
    # demand, and plain slots are the rest.
    __slots__ = ("_accepted", "_error", "_is_accepted", "_result", "_state", "_waiters", "task_id")

    def __init__(self, task_id: str) -> None:
        """Hold the task with this id."""
        self.task_id = task_id
        self._is_accepted = False
        self._state = TaskState.UNSPECIFIED
        self._result = b""
        self._error: TercioError | None = None
        self._accepted: asyncio.Future[None] | None = None
        self._waiters: asyncio.Future[None] | None = None

    @property
    def is_accepted(self) -> bool:
        """True once the task is durable."""
        return self._is_accepted

    @property
    def is_done(self) -> bool:
        """True once the task has ended, was refused, or will never be heard of again."""
        return self._error is not None or self._state is not TaskState.UNSPECIFIED

    @property
    def state(self) -> TaskState:
        """The terminal state; UNSPECIFIED until it is known."""
        return self._state

    @property
    def error(self) -> TercioError | None:
        """Why there is no result, once that is known."""
        return self._error

    async def accepted(self) -> None:
        """Wait until the task is durable.

        Raises:
            CallError: the scheduler refused the task.
            ClosedError: the client was closed before.
        """
        if not self._is_accepted and not self.is_done:
            if self._accepted is None:
                self._accepted = asyncio.get_running_loop().create_future()
            # Shielded, so that one impatient waiter does not cancel the wait of the others.
            await asyncio.shield(self._accepted)
        if self._error is not None and not self._is_accepted:
            raise self._error

    async def result(self) -> bytes:
        """Wait for the end of the task and return what its handler returned.

        Raises:
            TaskError: the task ended without success.
            CallError: the scheduler refused the task, or no longer knows it.
            ClosedError: the client was closed before.
        """
        if not self.is_done:
            if self._waiters is None:
                self._waiters = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiters)
        if self._error is not None:
            raise self._error
        return self._result

    async def text(self) -> str:
        """Return the result read as UTF-8; see `result`."""
        return (await self.result()).decode()

    async def json(self) -> Any:
        """Return the result read as JSON, None when it is empty; see `result`."""
        return decode_json(await self.result())

    def __await__(self) -> Generator[Any, None, bytes]:
        """See `result`."""
        return self.result().__await__()

    def __repr__(self) -> str:
        """Id and state."""
        return f"TaskHandle({self.task_id!r}, {self._state.name})"

    def note_accepted(self) -> None:
        """Take note that the task is durable. For the client."""
        self._is_accepted = True
        if self._accepted is not None and not self._accepted.done():
            self._accepted.set_result(None)

    def note_success(self, result: bytes) -> None:
        """Take note of the result. For the client."""
        self._state = TaskState.SUCCEEDED
        self._result = result
        self._release()

    def note_error(self, error: TercioError, *, state: TaskState = TaskState.UNSPECIFIED) -> None:
        """Take note that there will be no result. For the client."""
        self._state = state
        self._error = error
        self._release()

    def _release(self) -> None:
        if self._waiters is not None and not self._waiters.done():
            self._waiters.set_result(None)
        if self._accepted is not None and not self._accepted.done():
            self._accepted.set_result(None)
