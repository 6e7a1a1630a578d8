"""Attempts as the agent holds them, and their columns on the wire."""

from __future__ import annotations

import asyncio
import enum
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.api.type.v1 import epoch_pb2

if TYPE_CHECKING:
    from tercio.context import BlockingContext, Context
    from tercio.equipment import Equipment


SYSTEM_TYPES: Final = "tercio."
"""How the types of system tasks begin."""
_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
_MOST_MESSAGE: Final = 4096


class Epoch(NamedTuple):
    """One term of leadership; epochs are totally ordered."""

    generation: int
    revision: int


class FencingToken(NamedTuple):
    """Orders the attempts of one task: what an older attempt writes must be refused where a newer one wrote before."""

    generation: int
    revision: int
    number: int

    def __str__(self) -> str:
        """Return `generation.revision.number`."""
        return f"{self.generation}.{self.revision}.{self.number}"


AttemptKey: TypeAlias = tuple[str, int, Epoch]
"""Task, number, epoch: what names an attempt."""


class Stage(enum.Enum):
    """How far an attempt has come on this agent."""

    QUEUED = enum.auto()
    RUNNING = enum.auto()
    ENDED = enum.auto()


class Stop(enum.Enum):
    """Why an attempt was asked to stop. The value is the reason that is reported."""

    CANCELLED = "CANCELLED"
    TIMED_OUT = "ATTEMPT_TIMEOUT"
    AGENT_STOPPED = "AGENT_STOPPED"
    LEASE_ENDED = "LEASE_ENDED"


class Failure(NamedTuple):
    """Why an attempt failed, as it is reported.

    Attributes:
        reason: UPPER_SNAKE, at most 128 characters.
        message: at most 4096 characters.
        permanent: trying again is of no use.
    """

    reason: str
    message: str
    permanent: bool = False


def failure_of(reason: str, message: str, *, permanent: bool = False) -> Failure:
    """Return a failure that the scheduler will take, whatever a handler put into it."""
    if not _REASON.fullmatch(reason):
        reason, message = "HANDLER_ERROR", f"{reason}: {message}"
    # Names of files that are not UTF-8 become lone surrogates, which no message can carry.
    message = message[:_MOST_MESSAGE].encode(errors="replace").decode()
    return Failure(reason, message, permanent)


class Attempt:
    """One attempt from its offer until its end is committed. Plain slots, for there are many a second.

    `session_id` is the session of processes that runs it, 0 for this one; `spent` counts what it spent, by dimension,
    while it holds resources.
    """

    __slots__ = (
        "checkpoint",
        "claim_count",
        "context",
        "deadline_unix_ms",
        "epoch",
        "equipment",
        "failure",
        "failures",
        "has_resources",
        "measures",
        "number",
        "outcome",
        "payload",
        "result",
        "run_micros",
        "runner",
        "session_id",
        "spent",
        "stage",
        "started_ns",
        "started_reported",
        "stop",
        "task_id",
        "task_type",
        "timeout_ms",
        "timer",
        "was_interrupted",
        "worktree_count",
    )

    def __init__(
        self, task_id: str, number: int, epoch: Epoch, *, task_type: str = "", payload: bytes = b"", timeout_ms: int = 0
    ) -> None:
        """Hold what an offer says; `timeout_ms` 0 means that the agent enforces none."""
        self.task_id = task_id
        self.number = number
        self.epoch = epoch
        self.task_type = task_type
        self.payload = payload
        self.timeout_ms = timeout_ms
        self.checkpoint = b""
        self.failures = 0
        self.deadline_unix_ms = 0
        self.has_resources = False
        self.measures: dict[str, float] | None = None
        self.session_id = 0
        self.spent: dict[str, int] | None = None
        self.claim_count = 0
        self.worktree_count = 0
        self.stage = Stage.QUEUED
        self.stop: Stop | None = None
        self.started_ns = 0
        self.started_reported = False
        self.was_interrupted = False
        self.run_micros = 0
        self.outcome: work_pb2.Outcome.ValueType = work_pb2.OUTCOME_UNSPECIFIED
        self.result = b""
        self.failure: Failure | None = None
        self.runner: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.context: Context | BlockingContext | None = None
        self.equipment: Equipment | None = None

    @property
    def key(self) -> AttemptKey:
        """What names the attempt."""
        return (self.task_id, self.number, self.epoch)


def columns_of(attempts: Sequence[Attempt]) -> work_pb2.AttemptColumns:
    """Return the columns that name these attempts."""
    columns = work_pb2.AttemptColumns(
        task_ids=[attempt.task_id for attempt in attempts], numbers=[attempt.number for attempt in attempts]
    )
    indexes: dict[Epoch, int] = {}
    column = [indexes.setdefault(attempt.epoch, len(indexes)) for attempt in attempts]
    columns.epochs.extend(epoch_pb2.Epoch(generation=epoch[0], revision=epoch[1]) for epoch in indexes)
    if len(indexes) > 1:
        columns.epoch_indexes.extend(column)
    return columns


def keys_of(columns: work_pb2.AttemptColumns) -> list[AttemptKey]:
    """Return the names in the columns."""
    epochs = [Epoch(epoch.generation, epoch.revision) for epoch in columns.epochs]
    indexes = columns.epoch_indexes or [0] * len(columns.task_ids)
    return [
        (task_id, number, epochs[index])
        for task_id, number, index in zip(columns.task_ids, columns.numbers, indexes, strict=True)
    ]


def owner_of(attempt: Attempt) -> str:
    """Return the owner of what an attempt holds, as the scheduler names it."""
    token = FencingToken(attempt.epoch.generation, attempt.epoch.revision, attempt.number)
    return f"{attempt.task_id}@{token}"


def offers_of(assignments: work_pb2.Assignments, epoch: Epoch) -> list[Attempt]:
    """Return the attempts that a response of this epoch offers."""
    count = len(assignments.task_ids)
    types = list(assignments.task_types)
    kinds = [types[index] for index in assignments.type_indexes] if assignments.type_indexes else types[:1] * count
    payloads = assignments.payloads or [b""] * count
    timeouts = assignments.timeout_ms or [0]
    if len(timeouts) == 1:
        timeouts = [timeouts[0]] * count
    attempts = [
        Attempt(task_id, number, epoch, task_type=kind, payload=payload, timeout_ms=timeout)
        for task_id, number, kind, payload, timeout in zip(
            assignments.task_ids, assignments.numbers, kinds, payloads, timeouts, strict=True
        )
    ]
    for extra in assignments.extras:
        attempt = attempts[extra.index]
        attempt.checkpoint = extra.checkpoint
        attempt.failures = extra.failures
        attempt.deadline_unix_ms = extra.deadline_unix_ms
        attempt.has_resources = extra.has_resources
        attempt.claim_count = extra.claim_count
        attempt.worktree_count = extra.worktree_count
    return attempts
