"""Finished tasks are kept for a time, and not more than so many; then they are evicted, the first to end first."""

from __future__ import annotations

from itertools import islice

from tercio_common.machine.protocol import Moment
from tercio_scheduler.state import events
from tercio_scheduler.state.due import AT_ONCE
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.state.tables import SchedulerTables


class Retention:
    """The source of evictions; see `due.Source`."""

    def __init__(self, tables: SchedulerTables) -> None:
        """Look at these tables."""
        self._tables = tables
        self._aside = False
        # Some over the bound are tolerated, so that a busy scheduler evicts in batches instead of one by one.
        self._batch = max(1, tables.limits.retention_count // 200)

    def next_due(self) -> int | None:
        finished, limits = self._tables.index.finished, self._tables.limits
        # A parent stays until its children have followed it, which is the next thing to happen anyway.
        index = self._tables.index
        if self._aside or not len(finished) or index.failing or index.releasing:
            return None
        if len(finished) >= limits.retention_count + self._batch:
            return AT_ONCE
        first = finished.first()
        return None if first is None else first.entered.now + limits.retention_ms

    def decide(self, at: Moment, session: SchedulerSession, *, limit: int) -> list[events.Event]:
        index, limits = self._tables.index, self._tables.limits
        excess = len(index.finished) - limits.retention_count
        evicted = []
        for place, row in enumerate(islice(index.finished, limit)):
            if place >= excess and row.entered.now + limits.retention_ms > at.now:
                break
            evicted.append(row.task_id)
        return [events.TasksEvicted(tuple(evicted))] if evicted else []

    def set_aside(self) -> str:
        self._aside = True
        return "eviction of finished tasks"

    def take_back(self) -> None:
        self._aside = False


def apply(tables: SchedulerTables, event: events.TasksEvicted, _at: Moment) -> None:
    """Delete the tasks, and each ended plan with its last one."""
    for task_id in event.task_ids:
        plan_id = tables.tasks.delete(task_id).spec.plan_id
        if plan_id and plan_id not in tables.index.kept_of_plan:
            tables.plans.delete(plan_id)
