"""Timers of tasks: a heap with lazy deletion.

An entry counts only while its task's row still names the same time, so nothing is searched for when a task moves on.
Entries that no longer count are dropped at the front and swept when they are more than half.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

from tercio_scheduler.state.rows import TaskRow

_SWEEP_AT: Final = 1024
"""Dead entries beyond the number of live ones that are tolerated before the heap is swept."""


class TimerHeap:
    """Due times of tasks, earliest first; 0 is no timer."""

    def __init__(self, due_of: Callable[[TaskRow], int], *, get: Callable[[str], TaskRow | None]) -> None:
        """Start empty.

        Args:
            due_of: the row's due time on this heap's clock; 0 for none.
            get: the present row of a task.
        """
        self._due_of = due_of
        self._get = get
        self._heap: list[tuple[int, str]] = []
        self._live = 0
        self._aside: set[tuple[int, str]] = set()

    def __len__(self) -> int:
        """Return how many timers run."""
        return self._live

    def enter(self, due: int, task_id: str) -> None:
        """Start a timer."""
        heappush(self._heap, (due, task_id))
        self._live += 1

    def leave(self) -> None:
        """Note that one timer no longer counts."""
        self._live -= 1
        if len(self._heap) > 2 * self._live + _SWEEP_AT:
            self._heap = list({entry for entry in self._heap if self._counts(entry)})
            heapify(self._heap)

    def first(self) -> int | None:
        """Return the earliest due time."""
        heap = self._heap
        while heap:
            if self._counts(heap[0]) and heap[0] not in self._aside:
                return heap[0][0]
            heappop(heap)
        return None

    def due(self, until: int, *, limit: int) -> list[TaskRow]:
        """Return rows whose time is at most `until`, the earliest first."""
        found: dict[tuple[int, str], TaskRow] = {}
        while len(found) < limit:
            first = self.first()
            if first is None or first > until:
                break
            entry = heappop(self._heap)
            row = self._get(entry[1])
            if row is not None:
                found[entry] = row
        for entry in found:
            heappush(self._heap, entry)
        return list(found.values())

    def set_aside(self) -> str:
        """Take the earliest timer out of the way; return its task."""
        if self.first() is None:
            return ""
        entry = self._heap[0]
        self._aside.add(entry)
        return entry[1]

    def take_back(self) -> None:
        """Let every timer count again that was set aside."""
        for entry in self._aside:
            heappush(self._heap, entry)
        self._aside.clear()

    def _counts(self, entry: tuple[int, str]) -> bool:
        row = self._get(entry[1])
        return row is not None and self._due_of(row) == entry[0]
