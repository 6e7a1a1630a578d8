"""What happened, in the past tense: what the journal keeps and `apply` carries out.

Events name tasks in columns. `accepted` is a bitmap made by `columns.bitmap`; no bytes at all means everything. What
follows from an event and the rows alone (backoff, children that become ready, counts of plans) is derived in `apply`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tercio_common.machine.outbox import OutboxAcknowledged
from tercio_scheduler.state.columns import SubmitColumns, WorkColumns
from tercio_scheduler.state.rows import CarriedRow


class TasksSubmitted(NamedTuple):
    """A frame of tasks was accepted, but for those whose bit is clear; the record's principal is the submitter."""

    frame: bytes
    columns: SubmitColumns
    accepted: bytes = b""


class TasksCancelled(NamedTuple):
    """A caller cancelled tasks; those with a live attempt are CANCELLING now."""

    task_ids: Sequence[str]
    reason: str


class PlanCancelAdvanced(NamedTuple):
    """One step of cancelling a plan: these tasks were cancelled; `next_index` is where to go on, -1 at the end."""

    plan_id: str
    reason: str
    task_ids: Sequence[str]
    next_index: int


class TaskRetried(NamedTuple):
    """A caller gave the task a new start; `waiting` are parents that have not succeeded yet."""

    task_id: str
    waiting: tuple[str, ...] = ()


class AttemptsOffered(NamedTuple):
    """Attempts were offered to one agent, by the leader of the record's epoch."""

    agent_id: str
    instance_id: bytes
    concurrency: int
    task_ids: Sequence[str]
    numbers: Sequence[int]


MOST_RELEASED: Final = 1_000
"""About 10 ms."""


class WorkFrameApplied(NamedTuple):
    """An agent's report was taken; the bitmap covers `started`, then `ended`, then `checkpointed`.

    It releases at most `most_released` children of tasks that succeeded, and the others wait for `DependenciesMet`.
    Older ones, with 0, released all.
    """

    agent_id: str
    instance_id: bytes
    frame: bytes
    columns: WorkColumns
    accepted: bytes = b""
    most_released: int = MOST_RELEASED


class AttemptsAdopted(NamedTuple):
    """An agent's Hello listed these attempts as started, which was not known."""

    task_ids: Sequence[str]


class AttemptsRevoked(NamedTuple):
    """Attempts were taken from an agent that is lost, was replaced or no longer knows them.

    Attributes:
        agent_id: the agent.
        message: what happened, for people; the reason of counted ones is AGENT_LOST.
        counted: tasks to which it counts as a failure.
        uncounted: tasks that go back to the front of their queue.
    """

    agent_id: str
    message: str
    counted: Sequence[str]
    uncounted: Sequence[str]


class AttemptsTimedOut(NamedTuple):
    """Attempts ran longer than they may, or did not answer a cancellation for as long."""

    task_ids: Sequence[str]


class BackoffsEnded(NamedTuple):
    """Tasks waited long enough after a failure and are ready again."""

    task_ids: Sequence[str]


class DeadlinesPassed(NamedTuple):
    """Tasks were not finished by their deadline; those with a live attempt are CANCELLING now."""

    task_ids: Sequence[str]


class DependenciesFailed(NamedTuple):
    """Tasks were blocked on a parent that ended without success."""

    task_ids: Sequence[str]


class DependenciesMet(NamedTuple):
    """Parents of the tasks succeeded before this record, which goes on with what theirs began to release."""

    task_ids: Sequence[str]


class TasksEvicted(NamedTuple):
    """Finished tasks were kept long enough; a plan goes with its last task."""

    task_ids: Sequence[str]


class SystemTaskCarried(NamedTuple):
    """A task of the same record carries out a system task of another service."""

    carried: CarriedRow


class SystemTasksSettled(NamedTuple):
    """Tasks that carried out system tasks ended, or their time is up: their owners are owed the outcomes."""

    task_ids: Sequence[str]


class AdmissionsStarted(NamedTuple):
    """Resources are asked for, for an attempt each, by the leader of the record's epoch."""

    task_ids: Sequence[str]
    numbers: Sequence[int]


class AdmissionsGranted(NamedTuple):
    """The tasks' next attempts hold what they need."""

    task_ids: Sequence[str]


class AdmissionsRefused(NamedTuple):
    """The tasks' next attempts were refused what they need, and hold nothing; others are to be tried."""

    task_ids: Sequence[str]


class AdmissionsEnded(NamedTuple):
    """Attempts are over, or given up before they were offered: what they may hold is owed to the resources service."""

    task_ids: Sequence[str]


class TaskPriorityRaised(NamedTuple):
    """A task is of a higher priority, for the sake of others."""

    task_id: str
    priority: int


class TaskPostponed(NamedTuple):
    """A task waits until another one has ended, and until that fleet time in ms at most."""

    task_id: str
    after_task_id: str
    until: int


class PostponementsEnded(NamedTuple):
    """The tasks need not wait for others any more."""

    task_ids: Sequence[str]


Event = (
    TasksSubmitted
    | TasksCancelled
    | PlanCancelAdvanced
    | TaskRetried
    | AttemptsOffered
    | WorkFrameApplied
    | AttemptsAdopted
    | AttemptsRevoked
    | AttemptsTimedOut
    | BackoffsEnded
    | DeadlinesPassed
    | DependenciesFailed
    | DependenciesMet
    | TasksEvicted
    | SystemTaskCarried
    | SystemTasksSettled
    | AdmissionsStarted
    | AdmissionsGranted
    | AdmissionsRefused
    | AdmissionsEnded
    | TaskPriorityRaised
    | TaskPostponed
    | PostponementsEnded
    | OutboxAcknowledged
)
