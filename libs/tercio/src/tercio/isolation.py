"""Runs a coroutine inside the present asyncio task, but in context variables of its own.

A task for each attempt would cost more than a small attempt itself, and stepping a coroutine outside of any task breaks
`asyncio.timeout`, task groups and everything else that asks for the current task. So long-lived tasks await one handler
after the other, and this keeps what one handler sets in its context variables from the next.
"""

from __future__ import annotations

import contextvars
from collections.abc import Coroutine, Generator
from typing import Any, Final


class Isolated:
    """Awaits a coroutine in a copy of a context."""

    __slots__ = ("_context", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context) -> None:
        """Wrap a coroutine that was not started; the context belongs to it alone."""
        self._coroutine: Final = coroutine
        self._context: Final = context

    def __await__(self) -> Generator[Any, Any, Any]:
        """Step the coroutine inside the context; what it waits for passes through to the task."""
        run = self._context.run
        send, throw = self._coroutine.send, self._coroutine.throw
        step: Any = send
        value: Any = None
        while True:
            try:
                waited_for = run(step, value)
            except StopIteration as stop:
                return stop.value
            try:
                value = yield waited_for
                step = send
            except BaseException as error:
                value = error
                step = throw
