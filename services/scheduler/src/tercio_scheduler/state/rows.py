"""What the scheduler's tables hold: tasks and plans, and the immutable parts that they share.

Rows are written on the hot path, so what many tasks have in common is one object: the template of a submission, the
moment at which a frame made its tasks ready, the offer that brought a frame of attempts to an agent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import Final, NamedTuple

from tercio_common.epochs import Epoch


class State(IntEnum):
    """Where a task stands. Numbers are those of the contract's `Task.State`."""

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


class Outcome(IntEnum):
    """How an attempt ended on its agent. Numbers are those of the contract's `Outcome`."""

    SUCCEEDED = 1
    FAILED = 2
    CANCELLED = 3
    RETURNED = 4


TERMINAL: Final = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.DEAD_LETTER})
"""States that only `RetryTask` or eviction leaves; RetryTask does not leave SUCCEEDED."""

LIVE_ATTEMPT: Final = frozenset({State.OFFERED, State.RUNNING, State.CANCELLING})
"""States in which the task's attempt is held by an agent."""


class Requirement(NamedTuple):
    """What a task asks of its agent. Tasks with equal requirements queue together.

    Attributes:
        capabilities: (name, least level 1 to 100), sorted by name.
        target_agent_id: the only agent that may run it; empty means any.
        task_type: the handler that the agent must have.
    """

    capabilities: tuple[tuple[str, int], ...]
    target_agent_id: str
    task_type: str


class Lane(NamedTuple):
    """What tasks that wait in one line have in common."""

    requirement: Requirement
    priority: int


class ClaimSpec(NamedTuple):
    """A thing that each attempt claims; kinds and modes are numbered as in the contract."""

    kind: int
    scope: str
    name: str
    mode: int


class Needs(NamedTuple):
    """What tasks that wait in one line for what they need have in common.

    Attributes:
        lane: in which they wait for an agent afterwards.
        resources: (dimension, amount), sorted by dimension.
        tenant: for whom.
        pool_labels: (key, value) that the pools must have, sorted by key.
        claims: things that must be claimed, sorted.
    """

    lane: Lane
    resources: tuple[tuple[str, int], ...]
    tenant: str = ""
    pool_labels: tuple[tuple[str, str], ...] = ()
    claims: tuple[ClaimSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What many tasks of one submission share; every default of the contract is filled in.

    Attributes:
        task_type: selects the handler.
        priority: 0 to 9, 9 first.
        required_capabilities: (name, least level), sorted by name.
        target_agent_id: the only agent that may run it; empty means any.
        attempt_timeout_ms: longest run of one attempt.
        deadline_wall: absolute, ms since 1970; 0 means none.
        deadline_in_ms: counted from acceptance; 0 means none. At most one of the two deadlines is set.
        max_attempts: failures after which the task is a dead letter, 1 to 100.
        initial_backoff_ms: wait after the first failure.
        multiplier_permille: growth of the wait with each failure, 1000 to 10000.
        max_backoff_ms: upper bound of the wait.
        require_capable_agent: refuse the task when no connected agent could run it.
        labels: (key, value), sorted by key.
        resources: (dimension, amount) that each attempt holds, sorted by dimension.
        tenant: for whom.
        pool_labels: (key, value) that the pools of those must have, sorted by key.
        claims: things that each attempt claims, sorted.
        requirement: derived.
        lane: derived; tasks with equal lanes wait in one line.
        needs: derived; tasks with equal needs wait in one line until they are granted.
        holds: derived; whether its attempts hold anything that is granted to them first.
        size: derived; about how many bytes its names take in a snapshot of each task.
    """

    task_type: str
    priority: int = 5
    required_capabilities: tuple[tuple[str, int], ...] = ()
    target_agent_id: str = ""
    attempt_timeout_ms: int = 300_000
    deadline_wall: int = 0
    deadline_in_ms: int = 0
    max_attempts: int = 3
    initial_backoff_ms: int = 1_000
    multiplier_permille: int = 2_000
    max_backoff_ms: int = 300_000
    require_capable_agent: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    resources: tuple[tuple[str, int], ...] = ()
    tenant: str = ""
    pool_labels: tuple[tuple[str, str], ...] = ()
    claims: tuple[ClaimSpec, ...] = ()
    requirement: Requirement = field(init=False, compare=False, repr=False)
    lane: Lane = field(init=False, compare=False, repr=False)
    needs: Needs = field(init=False, compare=False, repr=False)
    holds: bool = field(init=False, compare=False, repr=False)
    size: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        requirement = Requirement(self.required_capabilities, self.target_agent_id, self.task_type)
        object.__setattr__(self, "requirement", requirement)
        object.__setattr__(self, "lane", Lane(requirement, self.priority))
        object.__setattr__(self, "needs", Needs(self.lane, self.resources, self.tenant, self.pool_labels, self.claims))
        object.__setattr__(self, "holds", bool(self.resources or self.claims))
        resources = sum([len(dimension) + 16 for dimension, _ in self.resources])
        claims = sum([len(claim.scope.encode()) + len(claim.name.encode()) + 8 for claim in self.claims])
        capabilities = sum([len(name.encode()) + 8 for name, _ in self.required_capabilities])
        pairs = self.labels + self.pool_labels
        labels = sum([len(key.encode()) + len(value.encode()) + 8 for key, value in pairs])
        names = len(self.task_type) + len(self.target_agent_id) + len(self.tenant)
        object.__setattr__(self, "size", names + capabilities + labels + resources + claims)


class Instant(NamedTuple):
    """One moment on both clocks: `now` is fleet time in ms, `wall` is ms since 1970."""

    now: int
    wall: int


class TaskSpec(NamedTuple):
    """What was accepted.

    Attributes:
        template: shared by many tasks.
        payload: opaque.
        depends_on: ids of the parents as submitted.
        plan_id: empty when none.
        submitter: principal.
        accepted: when.
        order: rises with acceptance over all tasks; unique. Listing is in this order.
        deadline: wall ms by which it must be finished; 0 means none.
    """

    template: Template
    payload: bytes
    depends_on: tuple[str, ...]
    plan_id: str
    submitter: str
    accepted: Instant
    order: int
    deadline: int


class Readiness(NamedTuple):
    """When a task last became ready.

    Attributes:
        seq: record that made it so; it is dispatched only when this is committed.
        now: fleet ms from which it ages; a returned task keeps its former one.
        wall: the same on the wall, for display.
    """

    seq: int
    now: int
    wall: int


class Offer(NamedTuple):
    """What brought attempts to an agent; shared by all attempts of one frame.

    Attributes:
        epoch: of the leader that offered them.
        agent_id: the agent.
        instance_id: the process of the agent.
        concurrency: how many attempts that process runs at once.
        seq: record of the offer.
        wall: when, in ms since 1970.
    """

    epoch: Epoch
    agent_id: str
    instance_id: bytes
    concurrency: int
    seq: int
    wall: int


class Why(NamedTuple):
    """Why a task stands where it stands: an UPPER_SNAKE reason, and a sentence for people."""

    reason: str
    message: str


class AttemptError(NamedTuple):
    """Why one attempt failed; `wall` is when it was recorded, in ms since 1970."""

    number: int
    agent_id: str
    reason: str
    message: str
    wall: int


class Past(NamedTuple):
    """What former attempts left.

    Attributes:
        failures: those that count towards the maximum; reset by RetryTask.
        errors: the latest 100, oldest first.
        checkpoint: the latest one, for the next attempt.
    """

    failures: int
    errors: tuple[AttemptError, ...]
    checkpoint: bytes


class TaskRow(NamedTuple):
    """One task.

    Attributes:
        task_id: the key.
        spec: what was accepted.
        state: where it stands.
        why: reason and message of that; `NO_REASON` when there is nothing to say.
        position: place in its queue, kept while an attempt lives; order of ending when terminal. Unique.
        ready: when it last became ready; `NEVER_READY` before.
        entered: when it entered its state.
        due: fleet ms at which BACKOFF, RUNNING or CANCELLING ends by itself; 0 means never.
        offer: of the present or last attempt; None before the first.
        number: of the present or last attempt; 0 before the first.
        past: what former attempts left; `NO_PAST` for most tasks.
        waiting: a bit for each of `spec.depends_on`, the lowest for the first: set until that parent succeeded. Not 0
            while BLOCKED. A child of many parents changes with each of them: that costs a few words, not a list.
        result: what the successful attempt returned.
        run_micros: how long the last ended attempt ran on its agent, in microseconds.
        cancel_to: the state in which CANCELLING ends unless the attempt succeeds; None otherwise.
    """

    task_id: str
    spec: TaskSpec
    state: State
    why: Why
    position: int
    ready: Readiness
    entered: Instant
    due: int
    offer: Offer | None
    number: int
    past: Past
    waiting: int
    result: bytes
    run_micros: int
    cancel_to: State | None

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """The parents that have not succeeded, in the order in which they were named."""
        return tuple([parent for place, parent in enumerate(self.spec.depends_on) if self.waiting >> place & 1])


class CarriedRow(NamedTuple):
    """A task that carries out a system task.

    Attributes:
        task_id: the key.
        system_task_id: what it carries out.
        owner: name of the service that is told the outcome.
        instance_id: only this process of the agent may do it; empty means any.
    """

    task_id: str
    system_task_id: str
    owner: str
    instance_id: bytes = b""


class PlanRow(NamedTuple):
    """One plan.

    Attributes:
        plan_id: the key.
        task_ids: in the order of submission; tasks that were evicted stay named here.
        submitter: principal.
        created_wall: ms since 1970.
        succeeded: tasks that succeeded.
        failed: tasks that ended otherwise.
        ended_wall: when the last task ended; 0 while some task has not.
        cancel_next: index of the next task to cancel; -1 when no cancellation is under way.
        cancel_reason: of the cancellation under way.
    """

    plan_id: str
    task_ids: tuple[str, ...]
    submitter: str
    created_wall: int
    succeeded: int
    failed: int
    ended_wall: int
    cancel_next: int
    cancel_reason: str


task_spec: Final[Callable[[tuple[Template, bytes, tuple[str, ...], str, str, Instant, int, int]], TaskSpec]] = partial(
    tuple.__new__, TaskSpec
)
"""Builds a specification from all its fields in order, in half the time; for the hot path only."""

task_row: Final[
    Callable[
        [
            tuple[
                str,
                TaskSpec,
                State,
                Why,
                int,
                Readiness,
                Instant,
                int,
                Offer | None,
                int,
                Past,
                int,
                bytes,
                int,
                State | None,
            ]
        ],
        TaskRow,
    ]
] = partial(tuple.__new__, TaskRow)
"""Builds a row from all its fields in order, in half the time of `TaskRow(...)`; for the hot path only."""


def waiting_bits(depends_on: Sequence[str], parents: Collection[str]) -> int:
    """Return the bits of those parents; see `TaskRow.waiting`."""
    return sum([1 << place for place, parent in enumerate(depends_on) if parent in parents])


SYSTEM_TYPES: Final = "tercio."
"""How the types of system tasks begin; nobody else may submit such tasks."""
NO_REASON: Final = Why("", "")
NO_PAST: Final = Past(0, (), b"")
NEVER_READY: Final = Readiness(0, 0, 0)
