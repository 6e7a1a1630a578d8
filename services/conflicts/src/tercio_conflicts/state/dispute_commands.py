"""What can be asked about decisions and conflicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tercio_common.machine.system_tasks import SystemTaskOutcome
from tercio_conflicts.state.dispute_rows import FamilyRow, Labels, PrecedentRow
from tercio_conflicts.state.severity import Severity


class DecisionSpec(NamedTuple):
    """What an agent decides; as in `DecisionRow`."""

    agent_id: str
    subject: str
    choice: str
    scope: str = ""
    rationale: str = ""
    confidence: int = 1_000
    role: str = ""
    task_id: str = ""


@dataclass(frozen=True, slots=True)
class PostDecisions:
    """Record decisions."""

    specs: tuple[DecisionSpec, ...]


@dataclass(frozen=True, slots=True)
class WithdrawDecision:
    """Forget a decision; only its own agent's, unless that is empty."""

    number: int
    agent_id: str = ""


@dataclass(frozen=True, slots=True)
class SetFamily:
    """Add a family of choices, or options to one that the package brings."""

    row: FamilyRow


@dataclass(frozen=True, slots=True)
class DeleteFamily:
    """Remove what was added."""

    name: str


@dataclass(frozen=True, slots=True)
class SetPrecedent:
    """Establish a choice."""

    row: PrecedentRow


@dataclass(frozen=True, slots=True)
class DeletePrecedent:
    """Give an established choice up."""

    precedent_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConflict:
    """Raise a conflict that somebody saw."""

    type: str
    agents: tuple[str, ...]
    severity: Severity
    context: Labels = ()
    tasks: tuple[str, ...] = ()
    claims: tuple[int, ...] = ()
    decisions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveConflict:
    """End a conflict; of a disagreement `prevails` is the number of the decision that counts, 0 for none."""

    conflict_id: str
    resolution: str
    prevails: int = 0


@dataclass(frozen=True, slots=True)
class EscalateConflict:
    """Ask people to end a conflict."""

    conflict_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Attend:
    """Look for conflicts, and take those that are open one step further; change at most `limit` of them.

    A step of one takes up to some 40 kB, and a record at most 512.
    """

    limit: int = 10


class ActionOutcome(NamedTuple):
    """What became of an action."""

    action_id: str
    done: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class ReportActions:
    """Tell what became of actions."""

    outcomes: tuple[ActionOutcome, ...]


@dataclass(frozen=True, slots=True)
class ReportSystemTasks:
    """Tell how system tasks ended."""

    outcomes: tuple[SystemTaskOutcome, ...]


DisputeCommand = (
    PostDecisions
    | WithdrawDecision
    | SetFamily
    | DeleteFamily
    | SetPrecedent
    | DeletePrecedent
    | ReportConflict
    | ResolveConflict
    | EscalateConflict
    | Attend
    | ReportActions
    | ReportSystemTasks
)
