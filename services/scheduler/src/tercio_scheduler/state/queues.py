"""Ready tasks, grouped so that dispatch never looks at a task that no free agent can run.

Tasks with equal requirements and priority form a line. Waiting raises a task's effective priority by one a step, up to
9. Inside a line all wait with the same priority, so the first has waited longest: only the first of each line needs
comparing, and ageing moves nothing.
"""

from __future__ import annotations

from collections.abc import ItemsView
from typing import Final

from tercio_scheduler.state.lines import Line
from tercio_scheduler.state.rows import Lane, Needs, TaskRow

HIGHEST_PRIORITY: Final = 9


class ReadyQueues:
    """Every READY task, by requirement and priority."""

    def __init__(self, *, ageing_step_ms: int) -> None:
        """Start empty."""
        self._ageing_step_ms = ageing_step_ms
        self._lines: dict[Lane, Line] = {}

    def __len__(self) -> int:
        """Return how many tasks are ready."""
        return sum(map(len, self._lines.values()))

    def __bool__(self) -> bool:
        """Tell whether any task is ready."""
        return bool(self._lines)

    def enter(self, row: TaskRow) -> None:
        """Take a task that became ready."""
        lane = row.spec.template.lane
        line = self._lines.get(lane)
        if line is None:
            line = self._lines[lane] = Line()
        line.enter(row)

    def leave(self, row: TaskRow) -> None:
        """Let a task go that is no longer ready."""
        lane = row.spec.template.lane
        line = self._lines[lane]
        line.leave(row)
        if not line.rows:
            del self._lines[lane]

    def lines(self) -> ItemsView[Lane, Line]:
        """Return every line, none of them empty."""
        return self._lines.items()

    def effective_priority(self, row: TaskRow, now: int) -> int:
        """Return the task's priority with what it gained by waiting, 0 to 9."""
        aged = row.spec.template.priority + (now - row.ready.now) // self._ageing_step_ms
        return min(HIGHEST_PRIORITY, aged)

    def ahead_of(self, row: TaskRow, now: int) -> int:
        """Count the ready tasks of all lines that come before this ready one."""
        own = (-self.effective_priority(row, now), row.position)

        def comes_first(other: TaskRow) -> bool:
            return (-self.effective_priority(other, now), other.position) < own

        return sum(line.count_while(comes_first) for line in self._lines.values())


class AdmissionQueues:
    """Every ADMITTING task, by what it needs."""

    def __init__(self) -> None:
        """Start empty."""
        self._lines: dict[Needs, Line] = {}

    def __len__(self) -> int:
        """Return how many tasks wait."""
        return sum(map(len, self._lines.values()))

    def __bool__(self) -> bool:
        """Tell whether any task waits."""
        return bool(self._lines)

    def enter(self, row: TaskRow) -> None:
        """Take a task that waits."""
        self._lines.setdefault(row.spec.template.needs, Line()).enter(row)

    def leave(self, row: TaskRow) -> None:
        """Let a task go that no longer waits."""
        line = self._lines[row.spec.template.needs]
        line.leave(row)
        if not line.rows:
            del self._lines[row.spec.template.needs]

    def lines(self) -> ItemsView[Needs, Line]:
        """Return every line, none of them empty."""
        return self._lines.items()
