"""Escalation: what no strategy ended goes to people, with a deadline and reminders until then."""

from __future__ import annotations

from tercio_common.machine.protocol import Moment
from tercio_conflicts.state.dispute_events import ConflictChanged, Step
from tercio_conflicts.state.dispute_rows import ConflictRow, ConflictState, Escalation
from tercio_conflicts.state.dispute_rules import DisputeRules


def begun(row: ConflictRow, reason: str, at: Moment, rules: DisputeRules) -> ConflictChanged:
    """Return the event with which people are asked."""
    asked = Escalation(reason, at.wall, deadline=at.now + rules.escalation, remind_at=at.now + rules.reminder)
    return ConflictChanged(
        Step.ESCALATED, row._replace(state=ConflictState.ESCALATED, escalation=asked), notify=rules.webhook
    )


def due(row: ConflictRow, at: Moment, rules: DisputeRules) -> list[ConflictChanged]:
    """Return the event of a reminder that is due; the last one says that the deadline has passed."""
    asked = row.escalation
    if asked is None or asked.overdue or at.now < asked.remind_at:
        return []
    overdue = at.now >= asked.deadline
    again = min(max(asked.remind_at + rules.reminder, at.now + 1), max(asked.deadline, at.now + 1))
    told = asked._replace(reminders=asked.reminders + 1, remind_at=again, overdue=overdue)
    return [ConflictChanged(Step.REMINDED, row._replace(escalation=told), notify=rules.webhook)]
