"""Ready tasks, grouped so that dispatch never looks at a task that no free agent can run.

Tasks with equal requirements form a class, and each class has a line a priority. Waiting raises a task's effective
priority by one a step, up to 9. Inside a line all wait with the same priority, so the first has waited longest: only
the first of each line needs comparing, and ageing moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tercio_scheduler.state.lines import Line
from tercio_scheduler.state.rows import Requirement, TaskRow

HIGHEST_PRIORITY: Final = 9


class ReadyQueues:
    """Every READY task, by requirement and priority."""

    def __init__(self, *, ageing_step_ms: int) -> None:
        """Start empty."""
        self._ageing_step_ms = ageing_step_ms
        self._classes: dict[Requirement, dict[int, Line]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return how many tasks are ready."""
        return self._count

    def enter(self, row: TaskRow) -> None:
        """Take a task that became ready."""
        template = row.spec.template
        lines = self._classes.get(template.requirement)
        if lines is None:
            lines = self._classes[template.requirement] = {}
        line = lines.get(template.priority)
        if line is None:
            line = lines[template.priority] = Line()
        line.enter(row)
        self._count += 1

    def leave(self, row: TaskRow) -> None:
        """Let a task go that is no longer ready."""
        template = row.spec.template
        lines = self._classes[template.requirement]
        line = lines[template.priority]
        line.leave(row)
        self._count -= 1
        if not line.rows:
            del lines[template.priority]
            if not lines:
                del self._classes[template.requirement]

    def classes(self) -> Iterator[tuple[Requirement, list[Line]]]:
        """Give each requirement with its lines, none of them empty."""
        for requirement, lines in self._classes.items():
            yield requirement, list(lines.values())

    def effective_priority(self, row: TaskRow, now: int) -> int:
        """Return the task's priority with what it gained by waiting, 0 to 9."""
        aged = row.spec.template.priority + (now - row.ready.now) // self._ageing_step_ms
        return min(HIGHEST_PRIORITY, aged)

    def ahead_of(self, row: TaskRow, now: int) -> int:
        """Count the ready tasks of all classes that come before this ready one."""
        own = (-self.effective_priority(row, now), row.position)

        def comes_first(other: TaskRow) -> bool:
            return (-self.effective_priority(other, now), other.position) < own

        return sum(line.count_while(comes_first) for _, lines in self.classes() for line in lines)
