"""How fast a workflow could be: the lower bound, and list schedules that no message delays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

from benchmarks.workflows.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What no schedule can beat.

    Attributes:
        critical_path_s: the longest chain of tasks.
        work_s: the sum of all runtimes.
        slots: how many tasks run at once.
    """

    critical_path_s: float
    work_s: float
    slots: int

    @property
    def seconds(self) -> float:
        """The larger of the critical path and of the work spread evenly over the slots."""
        return max(self.critical_path_s, self.work_s / self.slots)


def bound(workflow: Workflow, *, slots: int, scale: float = 1.0) -> Bound:
    """Return the lower bound of the makespan with runtimes multiplied by `scale`."""
    return Bound(
        critical_path_s=scale * max(remaining(workflow).values()),
        work_s=scale * sum(task.runtime_s for task in workflow.tasks.values()),
        slots=slots,
    )


def remaining(workflow: Workflow) -> dict[str, float]:
    """Return for each task the longest chain of runtimes from its start to the workflow's end, in seconds."""
    found = dict.fromkeys(workflow.tasks, 0.0)
    for task in reversed(list(workflow.tasks.values())):
        found[task.task_id] += task.runtime_s
        for parent in task.parents:
            found[parent] = max(found[parent], found[task.task_id])
    return found


def first_come(workflow: Workflow, *, slots: int) -> float:
    """Return the makespan, in seconds, when the task that became ready first goes first, as the scheduler does."""
    return _list_schedule(workflow, slots=slots, urgency=lambda _: 0.0)


def longest_remaining(workflow: Workflow, *, slots: int) -> float:
    """Return the makespan, in seconds, when the task with the longest chain behind it goes first."""
    chains = remaining(workflow)
    return _list_schedule(workflow, slots=slots, urgency=lambda task_id: -chains[task_id])


def _list_schedule(workflow: Workflow, *, slots: int, urgency: Callable[[str], float]) -> float:
    """Run whatever is ready on whatever is free, without any delay; return when the last task ends."""
    children, missing = _children(workflow), {task.task_id: len(task.parents) for task in workflow.tasks.values()}
    ready: list[tuple[float, int, str]] = []
    running: list[tuple[float, int, str]] = []
    entered, now = 0, 0.0
    newly = [task_id for task_id, count in missing.items() if not count]
    while newly or ready or running:
        for task_id in newly:
            heappush(ready, (urgency(task_id), entered, task_id))
            entered += 1
        while ready and len(running) < slots:
            _, number, task_id = heappop(ready)
            heappush(running, (now + workflow.tasks[task_id].runtime_s, number, task_id))
        now, _, ended = heappop(running)
        newly = []
        for child in children[ended]:
            missing[child] -= 1
            if not missing[child]:
                newly.append(child)
    return now


def _children(workflow: Workflow) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {task_id: [] for task_id in workflow.tasks}
    for task in workflow.tasks.values():
        for parent in task.parents:
            found[parent].append(task.task_id)
    return found
