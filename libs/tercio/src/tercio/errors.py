"""What the SDK raises.

TercioError
├── CallError                   an error answered a call: code, reason, metadata, violations, retry_after_ms
│   ├── InvalidRequestError     the request itself is wrong: INVALID_ARGUMENT, PAYLOAD_TOO_LARGE, …
│   ├── NotFoundError           TASK_NOT_FOUND, AGENT_NOT_FOUND, PLAN_NOT_FOUND
│   ├── ConflictError           the state does not allow it: TASK_STATE_CONFLICT, TASK_ID_REUSED, …
│   ├── AccessError             UNAUTHENTICATED, PERMISSION_DENIED
│   ├── ExhaustedError          QUEUE_FULL, STORE_NEARLY_FULL: retry_after_ms says when to try again
│   ├── UnavailableError        nobody led within the timeout, after retries with the same request id
│   ├── DeadlineExceededError   no answer within the timeout
│   └── ServerError             the server failed in a way that it did not expect
├── TaskError                   a task ended without success: task_id, state, reason, message
│   ├── TaskFailedError         its deadline passed or a dependency did not succeed
│   ├── TaskCancelledError      a caller ended it
│   └── TaskDeadLetteredError   it failed as often as it may
├── HandlerError                raised by handlers: the attempt failed, with a reason of their own
│   └── PermanentError          … and trying again is of no use
├── ClaimLostError              what was held was lost while somebody worked under it
├── AgentReplacedError          another process has taken this agent's id
├── ClosedError                 the client or agent was closed while something waited for it
└── SettingsError               an argument or environment variable makes no sense

A reason is a name of the catalogue `tercio.api.type.v1.ErrorReason`, without its prefix.
"""

from __future__ import annotations

import re
from typing import Final

from tercio.rpc.errors import (
    AccessError,
    CallError,
    ConflictError,
    DeadlineExceededError,
    ExhaustedError,
    FieldViolation,
    InvalidRequestError,
    NotFoundError,
    ServerError,
    TercioError,
    UnavailableError,
)
from tercio.states import TaskState

__all__ = [
    "AccessError",
    "AgentReplacedError",
    "CallError",
    "ClaimLostError",
    "ClosedError",
    "ConflictError",
    "DeadlineExceededError",
    "ExhaustedError",
    "FieldViolation",
    "HandlerError",
    "InvalidRequestError",
    "NotFoundError",
    "PermanentError",
    "ServerError",
    "SettingsError",
    "TaskCancelledError",
    "TaskDeadLetteredError",
    "TaskError",
    "TaskFailedError",
    "TercioError",
    "UnavailableError",
    "task_error",
]

_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{0,127}")


class TaskError(TercioError):
    """A task ended without success.

    Attributes:
        task_id: the task.
        state: its terminal state.
        reason: UPPER_SNAKE; why the last attempt failed, or why there was none.
        message: for people.
    """

    def __init__(self, message: str, *, task_id: str, state: TaskState, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.task_id = task_id
        self.state = state
        self.reason = reason

    def __str__(self) -> str:
        """Task, state, reason and message."""
        return f"task {self.task_id} ended {self.state.name}: {self.reason}: {self.message}"


class TaskFailedError(TaskError):
    """The task's deadline passed, or a task that it depends on did not succeed."""


class TaskCancelledError(TaskError):
    """A caller ended the task."""


class TaskDeadLetteredError(TaskError):
    """The task failed as often as it may. `Client.retry` gives it a new start."""


_ENDINGS: dict[TaskState, type[TaskError]] = {
    TaskState.FAILED: TaskFailedError,
    TaskState.CANCELLED: TaskCancelledError,
    TaskState.DEAD_LETTER: TaskDeadLetteredError,
}


def task_error(task_id: str, *, state: TaskState, reason: str, message: str) -> TaskError:
    """Make the error that belongs to a terminal state other than SUCCEEDED."""
    return _ENDINGS.get(state, TaskError)(message, task_id=task_id, state=state, reason=reason)


class HandlerError(TercioError):
    """Raised by a handler: the attempt failed and may be tried again.

    Attributes:
        reason: UPPER_SNAKE, at most 128 characters; shown with the task's errors.
    """

    def __init__(self, message: str = "", *, reason: str = "HANDLER_ERROR") -> None:
        """Say why; raises ValueError for a reason that the scheduler would refuse with the whole report."""
        if not _REASON.fullmatch(reason):
            raise ValueError(f"reason {reason!r} must be UPPER_SNAKE with at most 128 characters")
        super().__init__(message)
        self.reason = reason


class PermanentError(HandlerError):
    """Raised by a handler: trying again is of no use, so the task becomes a dead letter at once."""


class ClaimLostError(TercioError):
    """The claims were released, or their lease was about to end, while a block ran under them; it was cancelled.

    Attributes:
        owner: who held them.
        claim_ids: what was held.
    """

    def __init__(self, owner: str, claim_ids: list[int]) -> None:
        super().__init__(f"{owner} lost its claims {', '.join(map(str, claim_ids))}")
        self.owner = owner
        self.claim_ids = claim_ids


class AgentReplacedError(TercioError):
    """Another process has registered with this agent's id and secret; this one has stopped."""


class ClosedError(TercioError):
    """The client or agent was closed while something waited for it."""


class SettingsError(TercioError):
    """An argument or environment variable makes no sense; the message names it."""
