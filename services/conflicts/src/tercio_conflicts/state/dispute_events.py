"""What happened to decisions and conflicts. Rows are recorded as they are afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from tercio_common.machine.system_tasks import SystemTasksClosed, SystemTasksOpened
from tercio_conflicts.state.dispute_rows import (
    ActionRow,
    ConflictRow,
    ConsultationRow,
    DecisionRow,
    FamilyRow,
    PatternRow,
    PrecedentRow,
)


@dataclass(frozen=True, slots=True)
class DecisionsSet:
    """Decisions were made or overruled."""

    rows: tuple[DecisionRow, ...]


@dataclass(frozen=True, slots=True)
class DecisionsForgotten:
    """Decisions were withdrawn or superseded, or are too old to matter."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FamilySet:
    """A family of choices was added."""

    row: FamilyRow


@dataclass(frozen=True, slots=True)
class FamilyDeleted:
    """What was added is gone."""

    name: str


@dataclass(frozen=True, slots=True)
class PrecedentSet:
    """A choice was established."""

    row: PrecedentRow


@dataclass(frozen=True, slots=True)
class PrecedentDeleted:
    """An established choice was given up."""

    precedent_id: str


class Step(IntEnum):
    """What happened to a conflict; the numbers are those of the records."""

    RAISED = 1
    CHANGED = 2
    STRATEGY_BEGAN = 3
    STRATEGY_FAILED = 4
    RESOLVED = 5
    ESCALATED = 6
    REMINDED = 7


@dataclass(frozen=True, slots=True)
class ConflictChanged:
    """A conflict went a step further; with `notify` the webhook is told."""

    step: Step
    row: ConflictRow
    notify: bool = False


@dataclass(frozen=True, slots=True)
class ConflictsForgotten:
    """Conflicts that ended long ago are not kept any longer."""

    conflict_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PatternLearned:
    """A strategy was tried; `forgotten` is what made room."""

    row: PatternRow
    forgotten: tuple[str, str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class ActionsOpened:
    """The scheduler is to do these."""

    rows: tuple[ActionRow, ...]


@dataclass(frozen=True, slots=True)
class ActionsClosed:
    """Nobody waits for these any more."""

    action_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsultationsSet:
    """Agents were asked, or have answered."""

    rows: tuple[ConsultationRow, ...]


@dataclass(frozen=True, slots=True)
class ConsultationsEnded:
    """What was asked about a conflict is settled."""

    system_task_ids: tuple[str, ...]


DisputeEvent = (
    DecisionsSet
    | DecisionsForgotten
    | FamilySet
    | FamilyDeleted
    | PrecedentSet
    | PrecedentDeleted
    | ConflictChanged
    | ConflictsForgotten
    | PatternLearned
    | ActionsOpened
    | ActionsClosed
    | ConsultationsSet
    | ConsultationsEnded
    | SystemTasksOpened
    | SystemTasksClosed
)
