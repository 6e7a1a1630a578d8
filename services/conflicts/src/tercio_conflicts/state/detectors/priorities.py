"""Priorities: the urgent waits for what is not, a deadline cannot be met, or everything is most urgent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tercio_conflicts.state.detectors.protocol import PRIORITY_CONFLICT, Finding, conflict_id, labels
from tercio_conflicts.state.severity import Severity
from tercio_conflicts.state.situation import Situation, Work

TOP_PRIORITY: Final = 9
_FAR_APART: Final = 5
"""Priorities so far apart make an inversion worse."""


class Inversions:
    """A task that waits for one of lower priority."""

    name = "priority_inversion"

    def detect(self, situation: Situation) -> Iterable[Finding]:
        for waiting in situation.work:
            for task_id in waiting.waits_for:
                other = situation.tasks.get(task_id)
                if other is not None and other.priority < waiting.priority:
                    gap = waiting.priority - other.priority
                    yield _finding(
                        "inversion_conflict",
                        (waiting, other),
                        Severity.HIGH if gap >= _FAR_APART else Severity.MEDIUM,
                        type="inversion",
                        waiting=waiting.task_id,
                        blocking=other.task_id,
                        gap=gap,
                    )


class Deadlines:
    """A task that waits for another and cannot meet its deadline, or has missed it."""

    name = "missed_deadlines"

    def detect(self, situation: Situation) -> Iterable[Finding]:
        for each in situation.work:
            if not each.deadline:
                continue
            before = [situation.tasks[task] for task in each.waits_for if task in situation.tasks]
            needed = each.remaining + sum(other.remaining for other in before)
            late = situation.wall + needed - each.deadline
            if late > 0 and before:
                missed = situation.wall > each.deadline
                yield _finding(
                    "deadline_conflict",
                    (each, *before),
                    Severity.CRITICAL if missed else Severity.HIGH,
                    type="deadline",
                    waiting=each.task_id,
                    late_ms=late,
                )


class CompetingPriorities:
    """Several tasks of the top priority wait for one that only one of them can have."""

    name = "competing_priorities"

    def detect(self, situation: Situation) -> Iterable[Finding]:
        rivals: dict[str, list[Work]] = {}
        for each in situation.work:
            if each.priority >= TOP_PRIORITY and not each.running:
                for needed in each.waits_for:
                    rivals.setdefault(needed, []).append(each)
        for needed, works in sorted(rivals.items()):
            if len(works) > 1:
                yield _finding(
                    "top_priority_conflict", works, Severity.MEDIUM, type="competing_priorities", needed=needed
                )


def _finding(prefix: str, works: Iterable[Work], severity: Severity, **context: object) -> Finding:
    involved = list(works)
    tasks = sorted({each.task_id for each in involved})
    agents = sorted({each.agent_id for each in involved} - {""})
    return Finding(
        conflict_id(prefix, *tasks),
        PRIORITY_CONFLICT,
        tuple(agents),
        severity,
        1.0,
        labels(**context),
        tasks=tuple(tasks),
    )
