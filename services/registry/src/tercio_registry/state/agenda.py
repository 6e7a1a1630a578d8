"""When something is to be looked at again: one time a name, in one heap.

What is looked at is decided from the rows, so a look too many changes nothing, and replaying sets every time anew.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

AT_ONCE: Final = 0


class Agenda:
    """A heap with one entry a name. Replaced entries are skipped when they come up."""

    def __init__(self) -> None:
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        self._popped = ""

    def set(self, name: str, due: int) -> None:
        """Look at `name` at fleet time `due` in ms, and not before."""
        self._due[name] = due
        heapq.heappush(self._heap, (due, name))
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = [(when, each) for each, when in self._due.items()]
            heapq.heapify(self._heap)

    def drop(self, name: str) -> None:
        """Do not look at `name` any more."""
        self._due.pop(name, None)

    def next_due(self) -> int | None:
        """Return the earliest time."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, now: int) -> str | None:
        """Remove and return the name that is due first, up to `now`."""
        due = self.next_due()
        if due is None or due > now:
            return None
        _, self._popped = heapq.heappop(self._heap)
        del self._due[self._popped]
        return self._popped

    @contextmanager
    def kept_on_failure(self, name: str, now: int) -> Iterator[None]:
        """Look at `name` again should it fail: what was taken is not undone, and a failure is to be told."""
        try:
            yield
        except Exception:
            self.set(name, now + 1)
            raise

    def set_aside_due(self) -> str:
        """Look no more at what was looked at last; return its name."""
        self.drop(self._popped)
        return self._popped
