"""What agents and their callers use to take part in a Tercio fleet.

Agents run handlers for task types; callers submit tasks and wait for results. Blocking callers find the same client in
`tercio.sync`.
"""

from __future__ import annotations

from tercio.agent import Agent
from tercio.attempts import FencingToken
from tercio.client import Client
from tercio.context import BlockingContext, Context
from tercio.credentials import Credential
from tercio.errors import (
    AccessError,
    AgentReplacedError,
    CallError,
    ClaimLostError,
    ClosedError,
    ConflictError,
    DeadlineExceededError,
    ExhaustedError,
    FieldViolation,
    HandlerError,
    InvalidRequestError,
    NotFoundError,
    PermanentError,
    ServerError,
    SettingsError,
    TaskCancelledError,
    TaskDeadLetteredError,
    TaskError,
    TaskFailedError,
    TercioError,
    UnavailableError,
)
from tercio.handles import TaskHandle
from tercio.opinions import Opinion
from tercio.plans import TaskSpec
from tercio.states import TaskState
from tercio.templates import RetryPolicy, TaskOptions
from tercio.things import TaskClaim
from tercio.watching import Watch

__all__ = [
    "AccessError",
    "Agent",
    "AgentReplacedError",
    "BlockingContext",
    "CallError",
    "ClaimLostError",
    "Client",
    "ClosedError",
    "ConflictError",
    "Context",
    "Credential",
    "DeadlineExceededError",
    "ExhaustedError",
    "FencingToken",
    "FieldViolation",
    "HandlerError",
    "InvalidRequestError",
    "NotFoundError",
    "Opinion",
    "PermanentError",
    "RetryPolicy",
    "ServerError",
    "SettingsError",
    "TaskCancelledError",
    "TaskClaim",
    "TaskDeadLetteredError",
    "TaskError",
    "TaskFailedError",
    "TaskHandle",
    "TaskOptions",
    "TaskSpec",
    "TaskState",
    "TercioError",
    "UnavailableError",
    "Watch",
]
