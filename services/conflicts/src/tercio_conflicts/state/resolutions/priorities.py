"""The strategies of priority conflicts: by deadlines, by what is worth most, and by another order of dependencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tercio_conflicts.state.detectors.protocol import PRIORITY_CONFLICT
from tercio_conflicts.state.dispute_rows import ActionKind, ConflictRow
from tercio_conflicts.state.resolutions.protocol import Action, Counsel, Plan, Rejected
from tercio_conflicts.state.situation import Situation, Work

_HIGHEST: Final = 9


def _involved(conflict: ConflictRow, situation: Situation) -> list[Work]:
    return [situation.tasks[task] for task in conflict.tasks if task in situation.tasks]


def _waited_for(works: Sequence[Work]) -> list[Work]:
    """Return those that others of them wait for."""
    needed = {task for work in works for task in work.waits_for}
    return [work for work in works if work.task_id in needed]


class TimelineAnalysis:
    """What the earliest deadline waits for is done first."""

    name = "timeline_analysis"
    types = frozenset({PRIORITY_CONFLICT})

    def plan(self, conflict: ConflictRow, situation: Situation, counsel: Counsel) -> Plan | Rejected:
        works = _involved(conflict, situation)
        dated = sorted((work for work in works if work.deadline), key=lambda work: (work.deadline, work.task_id))
        if not dated:
            return Rejected("none of the tasks has a deadline")
        first = dated[0]
        slack = first.deadline - situation.wall - first.remaining
        boosted = [situation.tasks[task] for task in first.waits_for if task in situation.tasks] or [first]
        actions = [
            Action(ActionKind.BOOST_PRIORITY, work.task_id, work.agent_id, priority=max(first.priority, work.priority))
            for work in boosted
        ]
        return Plan(
            f"{first.task_id} is due first, with {slack / 1000:.0f} s to spare: "
            f"{', '.join(work.task_id for work in boosted)} before everything else",
            actions=tuple(actions),
            prevention="what a deadline waits for inherits its priority",
        )


class BusinessImpact:
    """What is worth most goes first: what it waits for gets a priority above it."""

    name = "business_impact"
    types = frozenset({PRIORITY_CONFLICT})

    def plan(self, conflict: ConflictRow, situation: Situation, counsel: Counsel) -> Plan | Rejected:
        works = _involved(conflict, situation)
        if not works:
            return Rejected("none of the tasks is known any more")
        first = max(works, key=lambda work: (work.value, work.priority, work.task_id))
        needed = _waited_for(works) or [first]
        actions = [
            Action(ActionKind.BOOST_PRIORITY, work.task_id, work.agent_id, priority=min(_HIGHEST, first.priority))
            for work in needed
        ]
        return Plan(
            f"{first.task_id} is worth most: {', '.join(work.task_id for work in needed)} with its priority",
            actions=tuple(actions),
            prevention="a task that others wait for has at least their priority",
        )


class DependencyReordering:
    """The less urgent wait for the more urgent instead of the other way round."""

    name = "dependency_reordering"
    types = frozenset({PRIORITY_CONFLICT})

    def plan(self, conflict: ConflictRow, situation: Situation, counsel: Counsel) -> Plan | Rejected:
        works = sorted(_involved(conflict, situation), key=lambda work: (-work.priority, work.deadline, work.task_id))
        if len(works) < 2:
            return Rejected("fewer than two of the tasks are known")
        first, *others = works
        return Plan(
            f"{first.task_id} before {', '.join(work.task_id for work in others)}",
            actions=tuple(
                Action(ActionKind.REORDER, work.task_id, work.agent_id, after_task_id=first.task_id) for work in others
            ),
            prevention="a task of low priority is not put before one of high priority",
        )
