"""A workflow: tasks with runtimes and parents, checked to be a graph that can be run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from math import isfinite


class WorkflowError(ValueError):
    """The workflow cannot be played; the message names the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task.

    Attributes:
        task_id: unique in the workflow.
        name: what it runs, for people.
        runtime_s: how long it ran, in seconds; at least 0.
        parents: ids of tasks that must end first.
        cores: how many cores it was given.
    """

    task_id: str
    name: str
    runtime_s: float
    parents: tuple[str, ...] = ()
    cores: float = 1.0


@dataclass(frozen=True, slots=True)
class Workflow:
    """A graph of tasks; make it with `checked`.

    Attributes:
        name: for people.
        tasks: by id, every task after its parents.
    """

    name: str
    tasks: Mapping[str, Task]

    def levels(self) -> dict[str, int]:
        """Return how many tasks the longest chain before each task has."""
        found: dict[str, int] = {}
        for task in self.tasks.values():
            found[task.task_id] = max((found[parent] + 1 for parent in task.parents), default=0)
        return found


def checked(name: str, tasks: Iterable[Task]) -> Workflow:
    """Return the workflow with its tasks in an order in which they can run.

    Raises:
        WorkflowError: there is no task, an id comes twice, a parent is missing, a runtime is negative or not a
            number, or tasks wait for each other.
    """
    known: dict[str, Task] = {}
    for task in tasks:
        if task.task_id in known:
            raise WorkflowError(f"task {task.task_id!r} comes twice")
        if not (isfinite(task.runtime_s) and task.runtime_s >= 0):
            raise WorkflowError(f"task {task.task_id!r} has a runtime of {task.runtime_s} s; it must be at least 0")
        known[task.task_id] = task
    if not known:
        raise WorkflowError(f"workflow {name!r} has no tasks")
    for task in known.values():
        for parent in task.parents:
            if parent not in known:
                raise WorkflowError(f"task {task.task_id!r} has the parent {parent!r}, which is not in the workflow")
    return Workflow(name, {task_id: known[task_id] for task_id in _order(known)})


def _order(tasks: Mapping[str, Task]) -> Iterable[str]:
    graph = TopologicalSorter({task_id: task.parents for task_id, task in tasks.items()})
    try:
        return tuple(graph.static_order())
    except CycleError as error:
        cycle = " → ".join(repr(task_id) for task_id in error.args[1])
        raise WorkflowError(f"tasks wait for each other: {cycle}") from None
