"""Conflicts: raised once, followed while they last, and kept for a while after their end."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table
from tercio_conflicts.state.detectors.protocol import Finding
from tercio_conflicts.state.dispute_rows import ConflictRow, ConflictState, Impact
from tercio_conflicts.state.situation import Situation

MOST_OPEN = 5_000
"""More means that something is wrong with the fleet, and not that so many conflicts need an end of their own."""
SOON_MS = 3_600_000
"""A deadline that is closer is at risk from any conflict."""


class OpenConflicts:
    """Index of the table of conflicts: those that have not ended, and the others by when they did."""

    def __init__(self) -> None:
        self.open: dict[str, None] = {}
        self._ended: dict[str, None] = {}

    def changed(self, key: str, old: ConflictRow | None, new: ConflictRow | None) -> None:
        """See `Index`."""
        self.open.pop(key, None) if new is None or new.state is ConflictState.RESOLVED else self.open.setdefault(key)
        self._ended.pop(key, None)
        if new is not None and new.state is ConflictState.RESOLVED:
            self._ended[key] = None

    def excess(self, table: Table[ConflictRow], most: int) -> tuple[str, ...]:
        """Return those that ended first, of what is over `most`."""
        count = len(self._ended) - most
        if count <= 0:
            return ()
        return tuple(sorted(self._ended, key=lambda each: (table[each].resolved_now, each))[:count])


def raised(finding: Finding, before: ConflictRow | None, at: Moment, situation: Situation) -> ConflictRow:
    """Return the row of a conflict that is found for the first time, or again after it had ended."""
    return ConflictRow(
        conflict_id=finding.conflict_id,
        occurrence=1 + (before.occurrence if before else 0),
        type=finding.type,
        state=ConflictState.OPEN,
        severity=finding.severity,
        confidence=round(finding.confidence * 1_000),
        agents=finding.agents,
        tasks=finding.tasks,
        context=finding.context,
        claims=finding.claims,
        decisions=finding.decisions,
        raised_now=at.now,
        raised_wall=at.wall,
        impact=impact(finding.tasks, finding.agents, situation),
    )


def seen(row: ConflictRow, finding: Finding, situation: Situation) -> ConflictRow:
    """Return the row as the detector sees it now."""
    return row._replace(
        severity=max(row.severity, finding.severity),
        agents=finding.agents,
        tasks=finding.tasks,
        context=finding.context,
        claims=finding.claims,
        decisions=finding.decisions,
        impact=impact(finding.tasks, finding.agents, situation),
    )


def impact(tasks: Iterable[str], agents: Iterable[str], situation: Situation) -> Impact:
    """Return what a conflict among these keeps from going on."""
    involved = set(tasks)
    blocked = {each.task_id for each in situation.work if involved & set(each.waits_for)} - involved
    touched = [each for each in situation.work if each.task_id in involved | blocked]
    at_risk = {each.task_id for each in touched if each.deadline and each.deadline - situation.wall < SOON_MS}
    return Impact(len(involved), len(set(agents)), len(at_risk), len(blocked))


def is_quiet(row: ConflictRow, now: int, quiet: int) -> bool:
    """Tell whether somebody has just said that it ended: what he did may still have to show."""
    by_hand = row.resolved_by.startswith("by ")
    return row.state is ConflictState.RESOLVED and by_hand and now - row.resolved_now < quiet


def present(conflict_id: str, table: Table[ConflictRow]) -> ConflictRow:
    """Return a conflict that is kept.

    Raises:
        Refusal: CONFLICT_NOT_FOUND.
    """
    row = table.get(conflict_id)
    if row is None:
        raise Refusal("CONFLICT_NOT_FOUND", f"no conflict {conflict_id!r} is kept; list them")
    return row


def open_one(conflict_id: str, table: Table[ConflictRow]) -> ConflictRow:
    """Return a conflict that has not ended.

    Raises:
        Refusal: CONFLICT_NOT_FOUND, CONFLICT_STATE_CONFLICT.
    """
    row = present(conflict_id, table)
    if row.state is ConflictState.RESOLVED:
        raise Refusal("CONFLICT_STATE_CONFLICT", f"conflict {conflict_id!r} was resolved already, {row.resolved_by}")
    return row


def notice(row: ConflictRow) -> bytes:
    """Return what the webhook is told."""
    escalation = row.escalation
    told = {
        "conflict_id": row.conflict_id,
        "occurrence": row.occurrence,
        "type": row.type,
        "severity": row.severity.name,
        "agents": row.agents,
        "tasks": row.tasks,
        "context": dict(row.context),
        "tried": [f"{each.strategy}: {each.message}" for each in row.attempts],
        "reason": escalation.reason if escalation else "",
        "reminder": escalation.reminders if escalation else 0,
        "overdue": escalation.overdue if escalation else False,
    }
    return json.dumps(told, sort_keys=True).encode()
