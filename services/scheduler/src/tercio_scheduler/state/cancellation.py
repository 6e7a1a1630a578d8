"""Cancelling a task, and giving an ended one a new start."""

from __future__ import annotations

from typing import Final

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_scheduler.state import events, tasks, transitions
from tercio_scheduler.state.commands import CancelTask, RetryTask
from tercio_scheduler.state.dependencies import waiting_again
from tercio_scheduler.state.rows import TERMINAL, State, TaskRow
from tercio_scheduler.state.tables import SchedulerTables

_CAN_BE_RETRIED: Final = frozenset({State.FAILED, State.CANCELLED, State.DEAD_LETTER})
_UNKNOWN_POSITION: Final = 0
"""Stands in a reply, which shows no positions."""


def decide_cancel(tables: SchedulerTables, command: CancelTask, at: Moment) -> Decision:
    """Cancel the task, unless it ended."""
    row = _callers_task(tables, command.task_id)
    if row.state is State.CANCELLED or row.state is State.CANCELLING:
        return Decision((), row)
    if row.state in TERMINAL:
        raise Refusal(
            "TASK_STATE_CONFLICT",
            f"task {row.task_id!r} is {row.state.name} already and cannot be cancelled",
            metadata={"state": row.state.name},
        )
    after = transitions.cancelled(row, command.reason, at, position=_UNKNOWN_POSITION)
    return Decision((events.TasksCancelled((row.task_id,), command.reason),), after)


def apply_cancel(tables: SchedulerTables, event: events.TasksCancelled, at: Moment) -> None:
    """Cancel the tasks."""
    for task_id in event.task_ids:
        row = tables.tasks[task_id]
        new = transitions.cancelled(row, event.reason, at, position=tables.take_positions(at))
        tasks.write(tables, row, new, at)


def decide_retry(tables: SchedulerTables, command: RetryTask, at: Moment) -> Decision:
    """Start the task anew, if it ended without success."""
    row = _callers_task(tables, command.task_id)
    if row.state not in _CAN_BE_RETRIED:
        raise Refusal(
            "TASK_STATE_CONFLICT",
            f"task {row.task_id!r} is {row.state.name}; only FAILED, CANCELLED and DEAD_LETTER can be retried",
            metadata={"state": row.state.name},
        )
    _check_deadline(row, at)
    waiting = waiting_again(tables, row)
    after = transitions.retried(row, at, position=_UNKNOWN_POSITION, waiting=waiting)
    return Decision((events.TaskRetried(row.task_id, waiting),), after)


def apply_retry(tables: SchedulerTables, event: events.TaskRetried, at: Moment) -> None:
    """Start the task anew."""
    row = tables.tasks[event.task_id]
    new = transitions.retried(row, at, position=tables.take_positions(at), waiting=event.waiting)
    tasks.write(tables, row, new, at)


def _callers_task(tables: SchedulerTables, task_id: str) -> TaskRow:
    """Return a task that callers may decide about: what became of a system task says something about its agent."""
    row = tasks.known_task(tables, task_id)
    if task_id in tables.carried:
        message = f"task {task_id!r} is the fleet's own; it ends by itself"
        raise Refusal("PERMISSION_DENIED", message)
    return row


def _check_deadline(row: TaskRow, at: Moment) -> None:
    deadline = row.spec.template.deadline_wall
    if deadline and deadline <= at.wall:
        raise Refusal(
            "TASK_STATE_CONFLICT",
            f"the deadline of task {row.task_id!r} has passed; submit it anew with a later one",
            metadata={"state": row.state.name},
        )
