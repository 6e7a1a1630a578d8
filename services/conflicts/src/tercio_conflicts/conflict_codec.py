"""Rows of conflicts as protobuf."""

from __future__ import annotations

from tercio_conflicts.records.v1 import conflicts_pb2 as pb
from tercio_conflicts.state.dispute_rows import (
    AttemptRow,
    ConflictRow,
    ConflictState,
    Escalation,
    Impact,
    Outcome,
)
from tercio_conflicts.state.severity import Severity


def conflict_record(row: ConflictRow) -> pb.ConflictRow:
    """Return the record of a row."""
    return pb.ConflictRow(
        conflict_id=row.conflict_id,
        occurrence=row.occurrence,
        type=row.type,
        state=row.state,
        severity=row.severity,
        confidence_per_mille=row.confidence,
        agents=row.agents,
        tasks=row.tasks,
        context=dict(row.context),
        claims=row.claims,
        decisions=row.decisions,
        raised_now_ms=row.raised_now,
        raised_wall_ms=row.raised_wall,
        impact_tasks=row.impact.tasks,
        impact_agents=row.impact.agents,
        impact_deadlines=row.impact.deadlines_at_risk,
        impact_blocked=row.impact.blocked_tasks,
        reported_by=row.reported_by,
        attempts=map(_attempt_record, row.attempts),
        escalation=_escalation_record(row.escalation) if row.escalation else None,
        resolution=row.resolution,
        resolved_by=row.resolved_by,
        prevention=row.prevention,
        resolved_now_ms=row.resolved_now,
        resolved_wall_ms=row.resolved_wall,
    )


def conflict(record: pb.ConflictRow) -> ConflictRow:
    """Return the row of a record."""
    return ConflictRow(
        conflict_id=record.conflict_id,
        occurrence=record.occurrence,
        type=record.type,
        state=ConflictState(record.state),
        severity=Severity(record.severity),
        confidence=record.confidence_per_mille,
        agents=tuple(record.agents),
        tasks=tuple(record.tasks),
        context=tuple(sorted(record.context.items())),
        claims=tuple(record.claims),
        decisions=tuple(record.decisions),
        raised_now=record.raised_now_ms,
        raised_wall=record.raised_wall_ms,
        impact=Impact(record.impact_tasks, record.impact_agents, record.impact_deadlines, record.impact_blocked),
        reported_by=record.reported_by,
        attempts=tuple(map(_attempt, record.attempts)),
        escalation=_escalation(record.escalation) if record.HasField("escalation") else None,
        resolution=record.resolution,
        resolved_by=record.resolved_by,
        prevention=record.prevention,
        resolved_now=record.resolved_now_ms,
        resolved_wall=record.resolved_wall_ms,
    )


def _attempt_record(row: AttemptRow) -> pb.ConflictRow.Attempt:
    return pb.ConflictRow.Attempt(
        strategy=row.strategy,
        outcome=row.outcome,
        message=row.message,
        began_now_ms=row.began_now,
        due_ms=row.due,
        ended_now_ms=row.ended_now,
        access_order=row.access_order,
        delay_ms=row.delay,
        precedent=row.precedent,
        prevention=row.prevention,
    )


def _attempt(record: pb.ConflictRow.Attempt) -> AttemptRow:
    return AttemptRow(
        strategy=record.strategy,
        outcome=Outcome(record.outcome),
        message=record.message,
        began_now=record.began_now_ms,
        due=record.due_ms,
        ended_now=record.ended_now_ms,
        access_order=tuple(record.access_order),
        delay=record.delay_ms,
        precedent=record.precedent,
        prevention=record.prevention,
    )


def _escalation_record(row: Escalation) -> pb.ConflictRow.Escalation:
    return pb.ConflictRow.Escalation(
        reason=row.reason,
        escalated_wall_ms=row.escalated_wall,
        deadline_ms=row.deadline,
        remind_at_ms=row.remind_at,
        reminders=row.reminders,
        overdue=row.overdue,
    )


def _escalation(record: pb.ConflictRow.Escalation) -> Escalation:
    return Escalation(
        record.reason,
        record.escalated_wall_ms,
        record.deadline_ms,
        record.remind_at_ms,
        record.reminders,
        record.overdue,
    )
