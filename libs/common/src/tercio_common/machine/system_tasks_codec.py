"""System tasks in the journals of their owners."""

from __future__ import annotations

from tercio_common.machine.system_tasks import (
    Result,
    SystemTaskOutcome,
    SystemTaskRow,
    SystemTasksClosed,
    SystemTasksOpened,
)
from tercio_common.records.v1 import system_task_pb2 as records


def row_record(row: SystemTaskRow) -> records.SystemTaskRow:
    """Return the record of a row."""
    return records.SystemTaskRow(
        system_task_id=row.system_task_id,
        kind=row.kind,
        agent_id=row.agent_id,
        incarnation=row.incarnation,
        input=row.input,
        timeout_ms=row.timeout,
        created_wall_ms=row.created_wall,
        due_ms=row.due,
        instance_id=row.instance_id,
    )


def row_of(record: records.SystemTaskRow) -> SystemTaskRow:
    """Return the row of a record."""
    return SystemTaskRow(
        system_task_id=record.system_task_id,
        kind=record.kind,
        agent_id=record.agent_id,
        incarnation=record.incarnation,
        input=record.input,
        timeout=record.timeout_ms,
        created_wall=record.created_wall_ms,
        due=record.due_ms,
        instance_id=record.instance_id,
    )


def opened_record(event: SystemTasksOpened) -> records.SystemTasksOpened:
    """Return the record of an event."""
    return records.SystemTasksOpened(tasks=map(row_record, event.tasks))


def opened_of(record: records.SystemTasksOpened) -> SystemTasksOpened:
    """Return the event of a record."""
    return SystemTasksOpened(tuple(map(row_of, record.tasks)))


def closed_record(event: SystemTasksClosed) -> records.SystemTasksClosed:
    """Return the record of an event."""
    return records.SystemTasksClosed(
        outcomes=(
            records.SystemTaskOutcome(
                system_task_id=each.system_task_id,
                result=each.result,
                output=each.output,
                error_reason=each.error_reason,
                error_message=each.error_message,
                wait_ms=each.wait,
                run_ms=each.run,
            )
            for each in event.outcomes
        )
    )


def closed_of(record: records.SystemTasksClosed) -> SystemTasksClosed:
    """Return the event of a record."""
    return SystemTasksClosed(
        tuple(
            SystemTaskOutcome(
                system_task_id=each.system_task_id,
                result=Result(each.result),
                output=each.output,
                error_reason=each.error_reason,
                error_message=each.error_message,
                wait=each.wait_ms,
                run=each.run_ms,
            )
            for each in record.outcomes
        )
    )
