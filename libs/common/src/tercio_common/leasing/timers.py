"""When a row is to be looked at: a heap with one due time a key.

A due time is a lower bound: renewals do not move it. When it comes up, the tick looks, and sets it again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Set
from typing import Final, Generic, TypeVar

from tercio_common.machine.protocol import Moment

Key = TypeVar("Key", int, str, tuple[str, str], tuple[int, str])
CauseT = TypeVar("CauseT")

_LOOKS_PER_CHANGE: Final = 4
"""A tick looks at four times as many rows as it may change: a take-over is worked off in slices."""


class Timers(Generic[Key]):
    """Due times by key. Replaced entries are skipped when they come up."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._due: dict[Key, int] = {}
        self._heap: list[tuple[int, Key]] = []
        self._popped: Key | None = None

    def set(self, key: Key, due: int) -> None:
        """Look at the key at `due`."""
        self._due[key] = due
        heapq.heappush(self._heap, (due, key))
        if len(self._heap) > 2 * len(self._due) + 1_024:
            self._heap = [(when, each) for each, when in self._due.items()]
            heapq.heapify(self._heap)

    def drop(self, key: Key) -> None:
        """Look at the key no more."""
        self._due.pop(key, None)

    def next_due(self) -> int | None:
        """Return the earliest due time."""
        heap = self._heap
        while heap and self._due.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop(self, now: int) -> Key | None:
        """Remove the earliest key that is due, which the caller sets again or changes."""
        due = self.next_due()
        if due is None or due > now:
            return None
        _, key = heapq.heappop(self._heap)
        del self._due[key]
        self._popped = key
        return key

    def prunable(self, at: Moment, *, limit: int) -> tuple[Key, ...]:
        """Return what is due and is simply to go, at most `limit`."""
        keys: list[Key] = []
        while len(keys) < limit and (key := self.pop(at.now)) is not None:
            keys.append(key)
        for key in keys:  # should the pruning be undone, they are looked at again
            self.set(key, at.now + 1)
        return tuple(keys)

    def set_aside(self) -> str:
        """Take the key out of the way that was looked at last; return its name."""
        if self._popped is not None:
            self.drop(self._popped)
        return f"the {self._noun} {self._popped!r}"

    def keys(self) -> Set[Key]:
        """Return what has a due time."""
        return self._due.keys()


def worked_off(
    timers: Timers[Key], now: int, *, look: Callable[[Key], tuple[CauseT | None, int]], limit: int
) -> dict[CauseT, list[Key]]:
    """Look at what is due; return what is to end, at most `limit`, by its cause.

    Args:
        timers: what is due, and when.
        now: fleet time in ms.
        look: returns why a row is to end, None when it is not, and when to look again.
        limit: of rows that end.
    """
    found: dict[CauseT, list[Key]] = {}
    changes = looks = 0
    while changes < limit and looks < limit * _LOOKS_PER_CHANGE and (key := timers.pop(now)) is not None:
        looks += 1
        cause, due = look(key)
        # Set at once, also where an end follows: should it be undone, the row is looked at again.
        timers.set(key, max(due, now + 1))
        if cause is not None:
            found.setdefault(cause, []).append(key)
            changes += 1
    return found
