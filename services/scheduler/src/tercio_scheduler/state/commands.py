"""What the scheduler can be asked to do, and what it answers.

`Tick` and `ElectionWon` come from the host (`tercio_common.machine.protocol`). A closed stream is no command: it only
changes the session, and the attempts stay until their lease ends. The same holds for renewals, credit and progress.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from tercio_common.epochs import Epoch
from tercio_scheduler.state.columns import AttemptColumns, SubmitColumns, WorkColumns
from tercio_scheduler.state.participants import PARTICIPANTS
from tercio_scheduler.state.rows import CarriedRow, Needs, PlanRow, TaskRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Accept tasks. Answers `Submitted`.

    Every task has an id: the edge makes one where the caller gave none. A task that is known with the same content is
    accepted without effect. Plans (`columns.plan_id`) are always whole.

    Attributes:
        columns: the decoded frame.
        frame: the same frame as bytes, kept in the journal as it is.
        whole: True refuses everything when one task cannot be accepted, by raising; False judges each task on its own.
        validate_only: check and change nothing.

    Raises:
        Refusal: TASK_ID_REUSED, PLAN_ID_REUSED, DEPENDENCY_CYCLE (metadata `cycle`), DEPENDENCY_UNKNOWN,
            DEADLINE_PASSED, INSUFFICIENT_AGENT_CAPABILITY (metadata `missing`), QUEUE_FULL.
    """

    columns: SubmitColumns
    frame: bytes
    whole: bool = True
    validate_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CarryOut:
    """Carry out a system task of another service, by a task. Answers nothing; one that is known has no effect.

    Attributes:
        carried: the task and what it carries out.
        columns: the task, as in `Submit`.
        frame: the same as bytes.

    Raises:
        Refusal: QUEUE_FULL, or TASK_ID_REUSED.
    """

    carried: CarriedRow
    columns: SubmitColumns
    frame: bytes


class RefusedTask(NamedTuple):
    """One task that was not accepted: its place in the frame, from 0, and the reason as in `Refusal`."""

    place: int
    task_id: str
    reason: str
    message: str


class Submitted(NamedTuple):
    """Answer to `Submit`: what was refused; everything else is accepted.

    Attributes:
        refused: never any when the submission is whole.
        known: how many tasks were there already.
        plan: as it is after the change, when the submission is a plan.
    """

    refused: tuple[RefusedTask, ...] = ()
    known: int = 0
    plan: PlanRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTask:
    """Cancel one task. Answers its `TaskRow` after the change.

    A task that is CANCELLED or CANCELLING already is answered as it is.

    Raises:
        Refusal: TASK_NOT_FOUND, TASK_STATE_CONFLICT when it ended otherwise.
    """

    task_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryTask:
    """Give a dead letter, a failed or a cancelled task a new start. Answers its `TaskRow` after the change.

    Raises:
        Refusal: TASK_NOT_FOUND, TASK_STATE_CONFLICT in any other state, or when a parent did not succeed, or when its
            absolute deadline has passed.
    """

    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPlan:
    """Cancel every task of a plan that has not ended, in steps of at most 1,000. Answers the `PlanRow` after the first.

    Raises:
        Refusal: PLAN_NOT_FOUND.
    """

    plan_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """Offer ready tasks to agents with spare credit. Answers `Dispatched`. Never refuses.

    Only tasks whose `ready.seq` is committed are offered. Propose it lazily: the frames to the agents may leave first.

    Attributes:
        limit: at most this many attempts, 1 to 10000. Those of one step leave in one message an agent, so steps are as
            large as commits under full load, about 10 ms; in smaller ones it is the messages that cost.
    """

    limit: int = 4000


class AgentOffers(NamedTuple):
    """Attempts for one agent.

    Attributes:
        agent_id: the agent.
        instance_id: its process; frames go only to this one.
        rows: the tasks as they were while READY: spec, past (checkpoint, failures) and so on.
        numbers: the new attempts' numbers, one a row; their epoch is the leader's.
    """

    agent_id: str
    instance_id: bytes
    rows: list[TaskRow]
    numbers: list[int]


class Dispatched(NamedTuple):
    """Answer to `Dispatch`. `more` says that the limit stopped it."""

    offers: tuple[AgentOffers, ...] = ()
    more: bool = False


class AttemptKey(NamedTuple):
    """One attempt, as agents name it."""

    task_id: str
    epoch: Epoch
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWork:
    """Record what an agent reports. Answers `Reported`. Never refuses.

    Attributes:
        agent_id: the agent of the stream.
        instance_id: its process.
        columns: the decoded frame.
        frame: the same frame as bytes, kept in the journal as it is.
    """

    agent_id: str
    instance_id: bytes
    columns: WorkColumns
    frame: bytes


class Reported(NamedTuple):
    """Answer to `ReportWork`: attempts that are not their task's present one (STALE_ATTEMPT); nothing came of them.

    Those of `started` that are stale should be cancelled at the agent.
    """

    stale: tuple[AttemptKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachAgent:
    """Take up an agent's stream. Answers `Attached`. Never refuses. Attach it to the session before or after.

    Of the same process: listed attempts are adopted, unlisted offered ones are queued again, unlisted started ones
    count as failures. Of a new process: all attempts of former ones are revoked. It goes in steps of at most 1,000
    attempts: propose it again while the answer says `more`.

    Attributes:
        agent_id: the agent.
        instance_id: its process.
        offered: attempts that it holds and did not start.
        started: attempts that it runs, and ended ones whose result is not acknowledged yet.
    """

    agent_id: str
    instance_id: bytes
    offered: AttemptColumns
    started: AttemptColumns


class Attached(NamedTuple):
    """Answer to `AttachAgent`: attempts that the agent must stop, because they are stale or being cancelled.

    `more` says that a step was taken and others are left.
    """

    cancel: tuple[AttemptKey, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAdmissions:
    """Mint attempts for which what they need is to be asked. Answers `Admissions`. Never refuses.

    Attributes:
        limit: at most this many, 1 to 1000.
        participants: the services that can be asked; whoever needs another one waits.
    """

    limit: int = 500
    participants: Collection[str] = PARTICIPANTS


class Admissions(NamedTuple):
    """Answer to `StartAdmissions`: the attempts, and what each needs."""

    keys: tuple[AttemptKey, ...] = ()
    needs: tuple[Needs, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleAdmissions:
    """Record what was answered. Answers nothing; attempts that are over already are passed over.

    Attributes:
        granted: hold all that they need.
        refused: hold nothing.
        given_up: hold a part of it, or nobody knows: it is to be released.
    """

    granted: tuple[AttemptKey, ...] = ()
    refused: tuple[AttemptKey, ...] = ()
    given_up: tuple[AttemptKey, ...] = ()


@dataclass(frozen=True, slots=True)
class RevokeUngranted:
    """Take attempts away whose grants are no longer known where they were granted. Answers nothing.

    Those that began count as failures. Attempts that are over already are passed over.
    """

    keys: tuple[AttemptKey, ...]
