"""Where a task can stand."""

from __future__ import annotations

import enum
from typing import Final


class TaskState(enum.IntEnum):
    """The states of `tercio.api.scheduler.v1.Task.State`, with the same numbers."""

    UNSPECIFIED = 0
    BLOCKED = 1
    READY = 2
    BACKOFF = 3
    OFFERED = 4
    RUNNING = 5
    CANCELLING = 6
    SUCCEEDED = 7
    FAILED = 8
    CANCELLED = 9
    DEAD_LETTER = 10
    ADMITTING = 11

    @property
    def is_terminal(self) -> bool:
        """True when nothing changes any more, unless somebody retries the task by hand."""
        return self in TERMINAL


TERMINAL: Final = frozenset(
    {TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.DEAD_LETTER},
)
