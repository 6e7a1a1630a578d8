"""Tasks in the order of a rising position: the structure behind every queue.

Positions nearly always enter at the end and leave at the front, so a line is a deque of positions beside a dict of
rows. What leaves from the middle leaves a hole, which is skipped and swept; what enters out of order (a returned
attempt, an undone command, the rows of a snapshot) waits in a side list and is merged at the next look. So each
operation costs the same, however long the line is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from tercio_scheduler.state.rows import TaskRow

_SWEEP_AT: Final = 64
"""Holes beyond the number of rows that are tolerated before a line is swept."""


class Line:
    """Rows by position, lowest first."""

    __slots__ = ("_late", "_order", "rows")

    def __init__(self) -> None:
        """Start empty."""
        self.rows: dict[int, TaskRow] = {}
        self._order: deque[int] = deque()
        self._late: list[int] = []

    def __len__(self) -> int:
        return len(self.rows)

    def enter(self, row: TaskRow) -> None:
        """Take a row at its position."""
        position = row.position
        self.rows[position] = row
        order = self._order
        if not order or position > order[-1]:
            order.append(position)
        else:
            self._late.append(position)

    def leave(self, row: TaskRow) -> None:
        """Let a row go; raises KeyError when it is not there."""
        position = row.position
        rows, order = self.rows, self._order
        del rows[position]
        if order and order[0] == position:
            order.popleft()
        elif len(order) > 2 * len(rows) + _SWEEP_AT:
            self._rebuild()

    def first(self) -> TaskRow | None:
        """Return the row with the lowest position."""
        return next(iter(self), None)

    def __iter__(self) -> Iterator[TaskRow]:
        """Give the rows in order; the line must not change meanwhile."""
        self._settle()
        get = self.rows.get
        for position in self._order:
            row = get(position)
            if row is not None:
                yield row

    def count_while(self, ahead: Callable[[TaskRow], bool]) -> int:
        """Count the rows at the front for which `ahead` holds; it holds for a prefix of the line."""
        self._settle()
        if len(self._order) != len(self.rows):
            self._rebuild()
        return bisect_left(self._order, True, key=lambda position: not ahead(self.rows[position]))

    def _settle(self) -> None:
        rows, order = self.rows, self._order
        if self._late:
            newest = max(self._late)
            merged = set(self._late)
            while order and order[0] <= newest:
                merged.add(order.popleft())
            order.extendleft(sorted((position for position in merged if position in rows), reverse=True))
            self._late.clear()
        while order and order[0] not in rows:
            order.popleft()

    def _rebuild(self) -> None:
        self._order = deque(sorted(self.rows))
        self._late.clear()


class AcceptanceOrder:
    """Every task by the order of its acceptance, for listing from any point on."""

    def __init__(self) -> None:
        """Start empty."""
        self._ids: dict[int, str] = {}
        self._orders: list[int] = []
        self._sorted = True

    def __len__(self) -> int:
        return len(self._ids)

    def enter(self, order: int, task_id: str) -> None:
        """Take a task."""
        orders = self._orders
        if orders and order <= orders[-1]:
            self._sorted = False
        orders.append(order)
        self._ids[order] = task_id

    def leave(self, order: int) -> None:
        """Let a task go."""
        del self._ids[order]
        if len(self._orders) > 2 * len(self._ids) + _SWEEP_AT:
            self._rebuild()

    def after(self, order: int) -> Iterator[tuple[int, str]]:
        """Give (order, task id) of every task accepted after this order."""
        if not self._sorted:
            self._rebuild()
        orders = self._orders
        for index in range(bisect_left(orders, order + 1), len(orders)):
            task_id = self._ids.get(orders[index])
            if task_id is not None:
                yield orders[index], task_id

    def _rebuild(self) -> None:
        self._orders = sorted(self._ids)
        self._sorted = True
