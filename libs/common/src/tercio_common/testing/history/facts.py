"""What records say about tasks, in terms that need no service: facts.

The events are decoded by the service's own decoder, found through the entry point group `tercio.records`, and told
apart by the name of their type; an event that says nothing about tasks gives no facts. The translation keeps one thing
of its own, each task's present attempt, so that the checks need not trust the service's idea of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from tercio_common.epochs import Epoch

RECORDS_GROUP = "tercio.records"

Decode = Callable[[bytes], Any]


class Kind(Enum):
    """What can happen to a task."""

    SUBMITTED = "submitted"
    OFFERED = "offered"
    STARTED = "started"
    CHECKPOINTED = "checkpointed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    RETURNED = "returned"
    LOST = "lost"
    TAKEN_BACK = "taken back"
    TIMED_OUT = "timed out"
    WOKEN = "woken"
    CANCEL_ASKED = "cancel asked"
    EXPIRED = "expired"
    DEPENDENCY_FAILED = "dependency failed"
    RETRIED = "retried"
    EVICTED = "evicted"
    CARRIED = "carries out a system task"


ENDS_ATTEMPT = frozenset(
    {Kind.SUCCEEDED, Kind.FAILED, Kind.STOPPED, Kind.RETURNED, Kind.LOST, Kind.TAKEN_BACK, Kind.TIMED_OUT}
)
"""Facts after which the attempt is over."""


class Attempt(NamedTuple):
    """One attempt of a task: epoch, then number."""

    epoch: Epoch
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}/{self.number}"


class Fact(NamedTuple):
    """One thing that happened to one task.

    Attributes:
        kind: what.
        task_id: the task.
        attempt: the one that was reported, or else the task's present one; None when there is none.
        present: the attempt that was offered last, before this fact; None when there is none.
        permanent: for FAILED: no further attempt is made.
        limit: for SUBMITTED: failures after which the task is a dead letter.
        parents: for SUBMITTED: tasks that it waits for.
    """

    kind: Kind
    task_id: str
    attempt: Attempt | None = None
    present: Attempt | None = None
    permanent: bool = False
    limit: int = 0
    parents: tuple[str, ...] = ()


def decoder(service: str) -> Decode:
    """Return the service's decoder of events.

    Raises:
        LookupError: no installed distribution registers one.
    """
    for entry in entry_points(group=RECORDS_GROUP, name=service):
        decode: Decode = entry.load()
        return decode
    raise LookupError(f"nothing is registered as {service} in {RECORDS_GROUP}: is tercio-{service} installed?")


class Translator:
    """Turns decoded events into facts; one for a recording, fed in order."""

    def __init__(self) -> None:
        self._present: dict[str, Attempt] = {}

    def facts(self, event: Any, *, epoch: Epoch) -> Iterator[Fact]:
        """Give what the event, of a record of that epoch, says about tasks."""
        name = type(event).__name__
        if name == "TasksSubmitted":
            yield from self._submitted(event)
        elif name == "AttemptsOffered":
            yield from self._offered(event, epoch)
        elif name == "WorkFrameApplied":
            yield from self._reported(event)
        elif name == "AttemptsRevoked":
            yield from self._listed(Kind.LOST, event.counted)
            yield from self._listed(Kind.TAKEN_BACK, event.uncounted)
        elif name == "SystemTaskCarried":
            yield from self._listed(Kind.CARRIED, (event.carried.task_id,))
        elif name == "TaskRetried":
            yield from self._listed(Kind.RETRIED, (event.task_id,))
        elif (kind := _LISTS.get(name)) is not None:
            yield from self._listed(kind, event.task_ids)

    def _submitted(self, event: Any) -> Iterator[Fact]:
        columns = event.columns
        for index, task_id in enumerate(columns.task_ids):
            if _is_set(event.accepted, index):
                template = columns.templates[columns.template_indexes[index] if columns.template_indexes else 0]
                parents = tuple(columns.dependencies.get(index, ()))
                yield Fact(Kind.SUBMITTED, task_id, limit=template.max_attempts, parents=parents)

    def _offered(self, event: Any, epoch: Epoch) -> Iterator[Fact]:
        for task_id, number in zip(event.task_ids, event.numbers, strict=True):
            attempt = Attempt(epoch, number)
            yield Fact(Kind.OFFERED, task_id, attempt, self._present.get(task_id))
            self._present[task_id] = attempt

    def _reported(self, event: Any) -> Iterator[Fact]:
        columns = event.columns
        first_ended = len(columns.started.task_ids)
        first_checkpointed = first_ended + len(columns.ended.task_ids)
        yield from self._attempts(columns.started, event.accepted, 0, lambda _: (Kind.STARTED, False))
        # A checkpoint in the frame of its attempt's end comes before that end.
        yield from self._attempts(
            columns.checkpointed, event.accepted, first_checkpointed, lambda _: (Kind.CHECKPOINTED, False)
        )
        yield from self._attempts(columns.ended, event.accepted, first_ended, lambda index: _ended(columns, index))

    def _attempts(
        self, columns: Any, accepted: bytes, offset: int, kind_of: Callable[[int], tuple[Kind, bool]]
    ) -> Iterator[Fact]:
        for index, task_id in enumerate(columns.task_ids):
            if _is_set(accepted, offset + index):
                kind, permanent = kind_of(index)
                attempt = Attempt(columns.epoch(index), columns.numbers[index])
                yield Fact(kind, task_id, attempt, self._present.get(task_id), permanent)

    def _listed(self, kind: Kind, task_ids: Iterable[str]) -> Iterator[Fact]:
        for task_id in task_ids:
            present = self._present.get(task_id)
            yield Fact(kind, task_id, present, present)


_LISTS = {
    "AttemptsAdopted": Kind.STARTED,
    "AttemptsTimedOut": Kind.TIMED_OUT,
    "BackoffsEnded": Kind.WOKEN,
    "TasksCancelled": Kind.CANCEL_ASKED,
    "PlanCancelAdvanced": Kind.CANCEL_ASKED,
    "DeadlinesPassed": Kind.EXPIRED,
    "DependenciesFailed": Kind.DEPENDENCY_FAILED,
    "TasksEvicted": Kind.EVICTED,
    "SystemTasksSettled": Kind.EVICTED,
}

_OUTCOMES = {
    "SUCCEEDED": Kind.SUCCEEDED,
    "FAILED": Kind.FAILED,
    "CANCELLED": Kind.STOPPED,
    "RETURNED": Kind.RETURNED,
}


def _ended(columns: Any, index: int) -> tuple[Kind, bool]:
    kind = _OUTCOMES[columns.outcomes[index].name] if columns.outcomes else Kind.SUCCEEDED
    failure = columns.failures.get(index)
    return kind, failure is not None and failure.permanent


def _is_set(packed: bytes, index: int) -> bool:
    """No bytes at all mean that everything was accepted."""
    return not packed or bool(packed[index >> 3] >> (index & 7) & 1)
