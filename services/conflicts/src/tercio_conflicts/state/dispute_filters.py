"""What a list or a watch of decisions or conflicts selects, by an expression in the language of AIP-160."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tercio_common.filtering.fields import Field, Kind
from tercio_conflicts.state.dispute_rows import ConflictRow, ConflictState, DecisionRow, Standing
from tercio_conflicts.state.severity import Severity

DECISION_FIELDS: Final[Mapping[str, Field[DecisionRow]]] = {
    "id": Field(Kind.NUMBER, lambda row: row.number),
    "agent_id": Field(Kind.TEXT, lambda row: row.agent_id),
    "role": Field(Kind.TEXT, lambda row: row.role),
    "task_id": Field(Kind.TEXT, lambda row: row.task_id),
    "subject": Field(Kind.TEXT, lambda row: row.subject),
    "choice": Field(Kind.TEXT, lambda row: row.choice),
    "scope": Field(Kind.TEXT, lambda row: row.scope),
    "confidence": Field(Kind.NUMBER, lambda row: row.confidence),
    "standing": Field(Kind.NAME, lambda row: row.standing, names={each.name: each for each in Standing}),
    "overruled_by": Field(Kind.TEXT, lambda row: row.overruled_by),
    "decide_time": Field(Kind.TIME, lambda row: row.decided_wall),
}

CONFLICT_FIELDS: Final[Mapping[str, Field[ConflictRow]]] = {
    "id": Field(Kind.TEXT, lambda row: row.conflict_id),
    "type": Field(Kind.TEXT, lambda row: row.type),
    "state": Field(Kind.NAME, lambda row: row.state, names={each.name: each for each in ConflictState}),
    "severity": Field(Kind.NAME, lambda row: row.severity, names={each.name: each for each in Severity}),
    "reported_by": Field(Kind.TEXT, lambda row: row.reported_by),
    "resolved_by": Field(Kind.TEXT, lambda row: row.resolved_by),
    "context": Field(Kind.TEXT, lambda row: dict(row.context), keyed=True),
    "raise_time": Field(Kind.TIME, lambda row: row.raised_wall),
    "resolve_time": Field(Kind.TIME, lambda row: row.resolved_wall),
}
