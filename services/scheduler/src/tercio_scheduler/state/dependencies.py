"""Which tasks of a frame can never become ready, and the failure of children whose parent did not succeed."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Final

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Moment
from tercio_scheduler.state import events, tasks, transitions
from tercio_scheduler.state.rows import TERMINAL, State, TaskRow, Why, waiting_bits
from tercio_scheduler.state.tables import SchedulerTables

_DEPENDENCY_FAILED: Final = "DEPENDENCY_FAILED"


def find_cycles(task_ids: Sequence[str], dependencies: Mapping[int, tuple[str, ...]]) -> Iterator[list[str]]:
    """Give cycles among the tasks of a frame, each with its first task again at the end.

    Tasks that are known already cannot depend on new ones, so cycles lie within the frame. Each task that can never
    become ready is on a given cycle or descends from one.
    """
    parents_of = {task_ids[index]: parents for index, parents in dependencies.items()}
    finished: set[str] = set()
    for start in parents_of:
        path: dict[str, None] = {}
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            task_id, leaving = stack.pop()
            if leaving:
                finished.add(task_id)
                del path[task_id]
            elif task_id in path:
                ancestors = list(path)
                yield [*ancestors[ancestors.index(task_id) :], task_id]
            elif task_id not in finished and task_id in parents_of:
                path[task_id] = None
                stack.append((task_id, True))
                stack.extend((parent, False) for parent in reversed(parents_of[task_id]))


def unfinished_parents(tables: SchedulerTables, parents: Sequence[str]) -> int:
    """Return the bits of parents that have not succeeded; one that is not in the tables yet counts as such."""
    get = tables.tasks.get
    unfinished = {parent for parent in parents if (row := get(parent)) is None or row.state is not State.SUCCEEDED}
    return waiting_bits(parents, unfinished)


def waiting_again(tables: SchedulerTables, row: TaskRow) -> tuple[str, ...]:
    """Return the parents that a task with a new start waits for.

    Raises:
        Refusal: TASK_STATE_CONFLICT when one of them ended without success.

    What became of a parent that is no longer kept is told by the task itself: it failed with it, or it did not.
    """
    waiting = []
    for parent_id in row.waiting_for:
        parent = tables.tasks.get(parent_id)
        if parent is None and row.why.reason != _DEPENDENCY_FAILED:
            continue
        if parent is None or (parent.state in TERMINAL and parent.state is not State.SUCCEEDED):
            raise Refusal(
                "TASK_STATE_CONFLICT",
                f"task {row.task_id!r} depends on {parent_id!r}, which did not succeed; retry that one first",
                metadata={"parent": parent_id},
            )
        if parent.state is not State.SUCCEEDED:
            waiting.append(parent_id)
    return tuple(waiting)


def doomed(tables: SchedulerTables, *, aside: Container[str]) -> Iterator[str]:
    """Give the children of parents that did not succeed, once for each such parent."""
    children = tables.index.children
    return (child for parent in tables.index.failing for child in children[parent] if child not in aside)


def apply_failures(tables: SchedulerTables, event: events.DependenciesFailed, at: Moment) -> None:
    """Fail the tasks, each with the parent that is to blame."""
    for task_id in event.task_ids:
        row = tables.tasks[task_id]
        message = f"{_culprit(tables, row)} did not succeed"
        new = transitions.ended(
            row, State.FAILED, Why(_DEPENDENCY_FAILED, message), at, position=tables.take_positions(at)
        )
        tasks.write(tables, row, new, at)


def met(tables: SchedulerTables, *, aside: Container[str]) -> Iterator[str]:
    """Give the children that still wait for a parent that succeeded, once for each such parent."""
    children = tables.index.children
    return (child for parent in tables.index.releasing for child in children[parent] if child not in aside)


def apply_met(tables: SchedulerTables, event: events.DependenciesMet, at: Moment) -> None:
    """Let the tasks wait no longer for parents that succeeded."""
    for task_id in event.task_ids:
        row = tables.tasks[task_id]
        tasks.release(tables, row, row.waiting & unfinished_parents(tables, row.spec.depends_on), at)


def _culprit(tables: SchedulerTables, row: TaskRow) -> str:
    for parent_id in row.waiting_for:
        parent = tables.tasks.get(parent_id)
        if parent is not None and parent.state in TERMINAL and parent.state is not State.SUCCEEDED:
            return parent_id
    return "a parent"
