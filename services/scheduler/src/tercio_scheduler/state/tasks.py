"""Writing a task's next row, and what follows from it for its children and its plan."""

from __future__ import annotations

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Moment
from tercio_scheduler.state import transitions
from tercio_scheduler.state.rows import TERMINAL, PlanRow, State, TaskRow
from tercio_scheduler.state.tables import SchedulerTables


def known_task(tables: SchedulerTables, task_id: str) -> TaskRow:
    """Return the task's row.

    Raises:
        Refusal: TASK_NOT_FOUND.
    """
    row = tables.tasks.get(task_id)
    if row is None:
        raise Refusal("TASK_NOT_FOUND", f"no task {task_id!r} is kept: it was never accepted, or it ended too long ago")
    return row


def write(tables: SchedulerTables, old: TaskRow, new: TaskRow, at: Moment) -> None:
    """Write the task's next row and carry out what follows."""
    tables.tasks.put(new)
    follow(tables, old, new, at)


def follow(tables: SchedulerTables, old: TaskRow, new: TaskRow, at: Moment) -> None:
    """Carry out what follows from a change that is written already."""
    if new.spec.plan_id:
        _count(tables, old, new, at)
    if new.state is State.SUCCEEDED and new.task_id in tables.index.children:
        _release_children(tables, new.task_id, at)


def plan_after(plan: PlanRow, old: State, new: State, at: Moment) -> PlanRow:
    """Return the plan's row after one of its tasks went from one state to another."""
    succeeded = plan.succeeded + (new is State.SUCCEEDED) - (old is State.SUCCEEDED)
    failed = plan.failed + (new in TERMINAL and new is not State.SUCCEEDED)
    failed -= old in TERMINAL and old is not State.SUCCEEDED
    finished = succeeded + failed == len(plan.task_ids)
    return plan._replace(succeeded=succeeded, failed=failed, ended_wall=at.wall if finished else 0)


def _count(tables: SchedulerTables, old: TaskRow, new: TaskRow, at: Moment) -> None:
    if (old.state in TERMINAL) != (new.state in TERMINAL):
        tables.plans.put(plan_after(tables.plans[new.spec.plan_id], old.state, new.state, at))


def release(tables: SchedulerTables, row: TaskRow, waiting: int, at: Moment) -> None:
    """Let a blocked task wait for these parents only; with none left it is ready."""
    if waiting:
        tables.tasks.put(row._replace(waiting=waiting))
    else:
        tables.tasks.put(transitions.ready(row, at, position=tables.take_positions(at)))


def _release_children(tables: SchedulerTables, parent_id: str, at: Moment) -> None:
    bits = dict(tables.index.children[parent_id])
    if not tables.take_releases(len(bits)):
        return  # `due.Releases` goes on in steps
    # In the order of acceptance: the index knows no order that every replica would share.
    children = sorted([tables.tasks[child] for child in bits], key=_acceptance)
    for child in children:
        release(tables, child, child.waiting & ~bits[child.task_id], at)


def _acceptance(row: TaskRow) -> int:
    return row.spec.order
