"""Which fields of a task an expression in the language of AIP-160 compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tercio_common.filtering.fields import Field, Kind
from tercio_common.filtering.predicates import Filter, compile_filter
from tercio_scheduler.state.rows import State, TaskRow

FIELDS: Final[Mapping[str, Field[TaskRow]]] = {
    "id": Field(Kind.TEXT, lambda row: row.task_id),
    "type": Field(Kind.TEXT, lambda row: row.spec.template.task_type),
    "state": Field(Kind.NAME, lambda row: row.state, names={state.name: state for state in State}),
    "priority": Field(Kind.NUMBER, lambda row: row.spec.template.priority),
    "plan_id": Field(Kind.TEXT, lambda row: row.spec.plan_id),
    "agent_id": Field(Kind.TEXT, lambda row: None if row.offer is None else row.offer.agent_id),
    "labels": Field(Kind.TEXT, lambda row: dict(row.spec.template.labels), keyed=True),
    "submit_time": Field(Kind.TIME, lambda row: row.spec.accepted.wall),
}


def compile_expression(text: str) -> Filter[TaskRow]:
    """Compile an expression over tasks; raises `FilterError`."""
    return compile_filter(text, FIELDS)
