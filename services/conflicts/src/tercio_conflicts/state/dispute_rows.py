"""What the tables hold of decisions, conflicts and what follows from them."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from tercio_conflicts.state.severity import Severity

Labels = tuple[tuple[str, str], ...]

MOST_DECISIONS: Final = 100
"""Of one command. Their numbers are the record's sequence number times `NUMBERS_A_RECORD`, and their place."""


class Standing(IntEnum):
    """Whether a decision counts; the numbers are those of the contract."""

    STANDING = 1
    OVERRULED = 2


class DecisionRow(NamedTuple):
    """What an agent decided.

    Attributes:
        confidence: in thousandths.
        supersedes: the agent's former decision on this; 0 when there was none.
        overruled_by: id of the conflict.
    """

    number: int
    agent_id: str
    role: str
    task_id: str
    subject: str
    choice: str
    scope: str
    rationale: str
    confidence: int
    decided_now: int
    decided_wall: int
    supersedes: int = 0
    standing: Standing = Standing.STANDING
    overruled_by: str = ""


class PrecedentRow(NamedTuple):
    """An established choice, which decides disagreements about it.

    Attributes:
        confidence: in thousandths.
        conflict_id: what it was learned from; empty when somebody set it.
    """

    precedent_id: str
    subject: str
    choice: str
    scope: str
    confidence: int
    conflict_id: str
    set_wall: int


class FamilyRow(NamedTuple):
    """A family of choices that an operator added; options are name, other names, and of a kind its members."""

    name: str
    subjects: tuple[str, ...]
    severity: Severity
    options: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]
    general: tuple[str, ...] = ()
    common_words: tuple[str, ...] = ()


class ConflictState(IntEnum):
    """How far a conflict is; the numbers are those of the contract."""

    OPEN = 1
    RESOLVING = 2
    ESCALATED = 3
    RESOLVED = 4


class Outcome(IntEnum):
    """How a strategy ended; the numbers are those of the contract."""

    RUNNING = 1
    SUCCEEDED = 2
    FAILED = 3
    NOT_APPLICABLE = 4
    EXCEPTION = 5


class AttemptRow(NamedTuple):
    """One strategy that was tried.

    Attributes:
        began_now: fleet time in ms, as `ended_now`, which is 0 while it runs.
        due: fleet time in ms at which it has failed unless the conflict is gone.
        access_order: who gets the thing, first to last.
        delay: ms until the first who waits gets it, as estimated.
        precedent: number of the decision that becomes an established choice if it succeeds.
        prevention: what then keeps the conflict from coming again.
    """

    strategy: str
    outcome: Outcome
    message: str
    began_now: int
    due: int
    ended_now: int = 0
    access_order: tuple[str, ...] = ()
    delay: int = 0
    precedent: int = 0
    prevention: str = ""


class Impact(NamedTuple):
    """What a conflict keeps from going on."""

    tasks: int
    agents: int
    deadlines_at_risk: int
    blocked_tasks: int


class Escalation(NamedTuple):
    """That people were asked.

    Attributes:
        deadline: fleet time in ms by which somebody is to decide, as `remind_at`.
    """

    reason: str
    escalated_wall: int
    deadline: int
    remind_at: int
    reminders: int = 0
    overdue: bool = False


class ConflictRow(NamedTuple):
    """A conflict.

    Attributes:
        conflict_id: the same for the same conflict.
        occurrence: how often it was raised.
        type: as `resource_contention`.
        confidence: in thousandths.
        context: what it is about, in the order of the keys.
        claims: numbers of the claims in it.
        decisions: numbers of the decisions in it.
        reported_by: who reported it; empty when it was detected.
        resolution: what ended it, for people.
        resolved_by: the strategy, or whoever resolved it.
        prevention: what keeps it from coming again, for people.
    """

    conflict_id: str
    occurrence: int
    type: str
    state: ConflictState
    severity: Severity
    confidence: int
    agents: tuple[str, ...]
    tasks: tuple[str, ...]
    context: Labels
    claims: tuple[int, ...]
    decisions: tuple[int, ...]
    raised_now: int
    raised_wall: int
    impact: Impact
    reported_by: str = ""
    attempts: tuple[AttemptRow, ...] = ()
    escalation: Escalation | None = None
    resolution: str = ""
    resolved_by: str = ""
    prevention: str = ""
    resolved_now: int = 0
    resolved_wall: int = 0

    @property
    def running(self) -> AttemptRow | None:
        """Return the strategy that runs."""
        last = self.attempts[-1] if self.attempts else None
        return last if last is not None and last.outcome is Outcome.RUNNING else None


class ActionKind(IntEnum):
    """What is asked of the scheduler; the numbers are those of the contract."""

    BOOST_PRIORITY = 1
    HOLD = 2
    REORDER = 3
    REVOKE = 4


class ActionRow(NamedTuple):
    """Something that the scheduler is to do.

    Attributes:
        task_id: whose; empty when only the agent is known.
        after_task_id: REORDER: what it is to wait for.
        priority: BOOST_PRIORITY: the new one.
        due: fleet time in ms at which nobody waits for it any more.
    """

    action_id: str
    conflict_id: str
    kind: ActionKind
    task_id: str
    agent_id: str
    after_task_id: str
    priority: int
    created_wall: int
    due: int


class ConsultationRow(NamedTuple):
    """A question to an agent about a conflict, and its answer: the number of a decision, 0 for none.

    Attributes:
        system_task_id: under which it was asked.
        answered: False until it ended.
    """

    system_task_id: str
    conflict_id: str
    agent_id: str
    answered: bool = False
    choice: int = 0
    message: str = ""


class PatternRow(NamedTuple):
    """What a strategy achieved for conflicts of a type in a context.

    Attributes:
        features: of the context, in order.
        duration: of all successes together, in ms.
        spent: on all failures together, in ms.
        agents: some that were in them.
        used_now: fleet time in ms of the last one.
    """

    type: str
    strategy: str
    features: tuple[str, ...]
    tries: int
    successes: int
    duration: int
    spent: int
    agents: tuple[str, ...]
    used_now: int

    @property
    def key(self) -> tuple[str, str, tuple[str, ...]]:
        """Name it."""
        return self.type, self.strategy, self.features
