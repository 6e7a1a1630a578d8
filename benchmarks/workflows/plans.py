"""Turns a workflow into plans that the scheduler takes: at most 1,000 tasks each, at most 256 parents a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from benchmarks.workflows.workflow import Workflow
from tercio.plans import TaskSpec
from tercio.templates import TaskOptions

TASK_TYPE: Final = "workflow.sleep"
"""What the player's agents run: the payload is how many seconds to sleep."""

MOST_TASKS: Final = 1_000
MOST_PARENTS: Final = 256
_SPARE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Submission:
    """A workflow as it is submitted.

    Attributes:
        plans: one request each; every parent is in the same or an earlier one.
        joins: how many tasks were added only because one task may not have that many parents.
    """

    plans: Sequence[Sequence[TaskSpec]]
    joins: int

    @property
    def parents(self) -> Mapping[str, Sequence[str]]:
        """For each submitted task, every parent before its children, those that it waits for."""
        return {spec.task_id: spec.depends_on for plan in self.plans for spec in plan}


def submission(workflow: Workflow, *, scale: float, prefix: str) -> Submission:
    """Return the plans of a workflow with its runtimes multiplied by `scale`; task ids begin with `prefix`."""
    longest_s = scale * max(task.runtime_s for task in workflow.tasks.values())
    options = TaskOptions(attempt_timeout=timedelta(seconds=longest_s) + _SPARE)
    specs: list[TaskSpec] = []
    ids: dict[str, str] = {}

    def add(seconds: float, parents: Sequence[str]) -> str:
        while len(parents) > MOST_PARENTS:
            parents = [add(0.0, group) for group in _groups(parents)]
        task_id = f"{prefix}/{len(specs)}"
        specs.append(
            TaskSpec(
                task_type=TASK_TYPE, payload=f"{seconds:.6f}", task_id=task_id, depends_on=parents, options=options
            )
        )
        return task_id

    for task in workflow.tasks.values():
        ids[task.task_id] = add(task.runtime_s * scale, [ids[parent] for parent in task.parents])
    plans = [specs[first : first + MOST_TASKS] for first in range(0, len(specs), MOST_TASKS)]
    return Submission(plans, joins=len(specs) - len(ids))


def _groups(parents: Sequence[str]) -> list[Sequence[str]]:
    return [parents[first : first + MOST_PARENTS] for first in range(0, len(parents), MOST_PARENTS)]
