"""The detectors of the package."""

from __future__ import annotations

from typing import Final

from tercio_conflicts.state.detectors.agents import SharedRoles, SharedTasks
from tercio_conflicts.state.detectors.compute import ComputeDemand
from tercio_conflicts.state.detectors.disagreements import TechnicalDisagreements
from tercio_conflicts.state.detectors.files import FileAccess, OtherAccess, WorktreeAccess
from tercio_conflicts.state.detectors.priorities import CompetingPriorities, Deadlines, Inversions
from tercio_conflicts.state.detectors.protocol import Detector

DETECTORS: Final[tuple[Detector, ...]] = (
    FileAccess(),
    OtherAccess(),
    WorktreeAccess(),
    ComputeDemand(),
    SharedTasks(),
    SharedRoles(),
    Inversions(),
    Deadlines(),
    CompetingPriorities(),
    TechnicalDisagreements(),
)
