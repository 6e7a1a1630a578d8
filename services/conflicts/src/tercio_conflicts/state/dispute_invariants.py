"""What holds of decisions and conflicts after every step; checked in tests after each one."""

from __future__ import annotations

from collections.abc import Iterator

from tercio_conflicts.state.dispute_rows import ConflictRow, ConflictState, Outcome
from tercio_conflicts.state.dispute_tables import DisputeTables


def violations(tables: DisputeTables) -> Iterator[str]:
    """Give one sentence for each thing that is wrong in the tables and in what is derived from them."""
    still_open = {row.conflict_id for row in tables.conflicts.values() if row.state is not ConflictState.RESOLVED}
    if set(tables.open_conflicts.open) != still_open:
        yield "the index of open conflicts is not that of the table"
    for row in tables.conflicts.values():
        yield from _of_conflict(row)
    for action in tables.actions.values():
        if action.conflict_id not in still_open:
            yield f"action {action.action_id} is for conflict {action.conflict_id}, which has ended"
        elif tables.conflicts[action.conflict_id].running is None:
            yield f"action {action.action_id} is for conflict {action.conflict_id}, of which no strategy runs"
    for asked in tables.consultations.values():
        if asked.conflict_id not in still_open:
            yield f"{asked.agent_id} is asked about conflict {asked.conflict_id}, which has ended"
        if not asked.answered and asked.system_task_id not in tables.system_tasks.table:
            yield f"{asked.agent_id} is waited for, and nothing is asked of it"
    for pattern in tables.patterns.values():
        if not 0 <= pattern.successes <= pattern.tries:
            yield f"{pattern.strategy} succeeded {pattern.successes} times of {pattern.tries}"


def _of_conflict(row: ConflictRow) -> Iterator[str]:
    name = row.conflict_id
    if any(each.outcome is Outcome.RUNNING for each in row.attempts[:-1]):
        yield f"two strategies run for {name}"
    if (row.state is ConflictState.RESOLVING) != (row.running is not None):
        yield f"{name} is {row.state.name}, and a strategy {'runs' if row.running else 'does not run'}"
    if len({each.strategy for each in row.attempts}) != len(row.attempts):
        yield f"a strategy was tried twice for {name}"
    if (row.state is ConflictState.ESCALATED) and row.escalation is None:
        yield f"{name} is escalated without a reason"
    if (row.state is ConflictState.RESOLVED) != bool(row.resolved_by):
        yield f"{name} is {row.state.name}, resolved {row.resolved_by or 'by nobody'}"
