"""Large needs and small ones: who has waited long enough is passed by nobody who needs the same.

Small needs fit into what is left more often, so a stream of them can keep a large one waiting for ever. Once the first
task of a line was refused for that long, tasks that come after it are not asked for if they would take what it waits
for: a dimension that it needs too, from pools that may be the same. What is given back then adds up until it fits.
Who needs more than there could ever be holds up nobody.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tercio_scheduler.state.rows import Needs, TaskRow
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables

_MOST: Final = 16
"""Who stops others: each is compared with every line, and the first ones stop most."""


class Place(NamedTuple):
    """When a task's turn comes: by priority with what waiting added, the highest first, then by place in its queue."""

    priority: int
    position: int


class Barrier(NamedTuple):
    """The first task of a line that has waited long enough."""

    needs: Needs
    place: Place

    def stops(self, needs: Needs, place: Place) -> bool:
        """Tell whether such a task must wait for it."""
        return place > self.place and needs != self.needs and _compete(needs, self.needs)


def place_of(tables: SchedulerTables, row: TaskRow, now: int) -> Place:
    """Return when a task's turn comes."""
    return Place(-tables.index.ready.effective_priority(row, now), row.position)


def barriers(tables: SchedulerTables, session: SchedulerSession, now: int) -> list[Barrier]:
    """Return who stops others, the first ones first."""
    found = []
    for needs, line in tables.index.admitting.lines():
        shortage = session.shortages.of(needs)
        if shortage is None or not shortage.may_end or (first := line.first()) is None:
            continue
        if now - max(shortage.since, first.ready.now) >= tables.limits.patience_ms:
            found.append(Barrier(needs, place_of(tables, first, now)))
    found.sort(key=lambda each: each.place)
    return found[:_MOST]


def _compete(one: Needs, other: Needs) -> bool:
    dimensions = {dimension for dimension, _ in other.resources}
    if not any(dimension in dimensions for dimension, _ in one.resources):
        return False
    wanted = dict(other.pool_labels)
    return all(wanted.get(key, value) == value for key, value in one.pool_labels)
