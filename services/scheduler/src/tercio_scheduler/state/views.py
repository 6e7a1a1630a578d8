"""What Get and List show: rows as they are, chosen and paged. Progress comes from the session."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

from tercio_common.filtering.predicates import EVERYTHING, Filter
from tercio_scheduler.state.plans import known_plan
from tercio_scheduler.state.rows import SYSTEM_TYPES, PlanRow, State, TaskRow
from tercio_scheduler.state.tables import SchedulerTables
from tercio_scheduler.state.tasks import known_task

_MOST_SCANNED: Final = 20_000
"""Rows that one page looks at: a filter that few match gives short pages instead of long pauses."""


class TaskFilter(NamedTuple):
    """Selects tasks; every field that is set must match.

    Attributes:
        states: any of these; empty means all.
        task_type: exactly this one; system tasks are shown only when theirs is asked for.
        plan_id: tasks of this plan.
        agent_id: tasks whose present or last attempt is of this agent.
        labels: exactly these (key, value), among others.
        expression: holds as well.
    """

    states: frozenset[State] = frozenset()
    task_type: str = ""
    plan_id: str = ""
    agent_id: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    expression: Filter[TaskRow] = EVERYTHING

    def matches(self, row: TaskRow) -> bool:
        """Tell whether the task is selected."""
        spec = row.spec
        if spec.template.task_type.startswith(SYSTEM_TYPES) and not self.task_type.startswith(SYSTEM_TYPES):
            return False
        return not (
            (self.states and row.state not in self.states)
            or (self.task_type and spec.template.task_type != self.task_type)
            or (self.plan_id and spec.plan_id != self.plan_id)
            or (self.agent_id and (row.offer is None or row.offer.agent_id != self.agent_id))
            or (self.labels and not set(self.labels) <= set(spec.template.labels))
            or not self.expression.matches(row)
        )


EVERY_TASK: Final = TaskFilter()


class TaskPage(NamedTuple):
    """Some tasks in the order of acceptance; `next_order` continues the listing, 0 at the end. A page may be short."""

    rows: list[TaskRow]
    next_order: int


class PlanPage(NamedTuple):
    """Some plans in the order of their ids; `next_id` continues the listing, empty at the end."""

    rows: list[PlanRow]
    next_id: str


class TaskCounts(NamedTuple):
    """How many tasks there are: in all, ready for an agent, held by agents, and finished but kept."""

    kept: int
    ready: int
    held: int
    finished: int


def get_task(tables: SchedulerTables, task_id: str) -> TaskRow:
    """Return one task; raises Refusal TASK_NOT_FOUND."""
    return known_task(tables, task_id)


def get_plan(tables: SchedulerTables, plan_id: str) -> PlanRow:
    """Return one plan; raises Refusal PLAN_NOT_FOUND."""
    return known_plan(tables, plan_id)


def list_tasks(
    tables: SchedulerTables, chosen: TaskFilter = EVERY_TASK, *, after: int = 0, limit: int = 100
) -> TaskPage:
    """Return at most `limit` tasks accepted after the order `after`."""
    rows: list[TaskRow] = []
    most_scanned = _MOST_SCANNED // (1 + chosen.expression.comparisons)
    for scanned, (order, task_id) in enumerate(tables.index.accepted.after(after)):
        if len(rows) == limit or scanned == most_scanned:
            return TaskPage(rows, order - 1)
        row = tables.tasks[task_id]
        if chosen.matches(row):
            rows.append(row)
    return TaskPage(rows, 0)


def list_plans(tables: SchedulerTables, *, after: str = "", limit: int = 100) -> PlanPage:
    """Return at most `limit` plans whose ids come after `after`."""
    ids = tables.plan_index.in_order()
    first = bisect_right(ids, after)
    page = ids[first : first + limit]
    more = first + limit < len(ids)
    return PlanPage([tables.plans[plan_id] for plan_id in page], page[-1] if more else "")


def tasks_of_plan(tables: SchedulerTables, plan: PlanRow) -> Iterator[TaskRow]:
    """Give the plan's tasks that are kept, in the order of submission."""
    for task_id in plan.task_ids:
        row = tables.tasks.get(task_id)
        if row is not None:
            yield row


def plan_state(plan: PlanRow) -> str:
    """Return where the plan stands: RUNNING, SUCCEEDED or FAILED."""
    if not plan.ended_wall:
        return "RUNNING"
    return "FAILED" if plan.failed else "SUCCEEDED"


def count_tasks(tables: SchedulerTables) -> TaskCounts:
    """Count the tasks."""
    index = tables.index
    held = sum(map(len, index.by_agent.values()))
    return TaskCounts(len(tables.tasks), len(index.ready), held, len(index.finished))
