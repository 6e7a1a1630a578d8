"""Plans: graphs of tasks that were accepted together."""

from __future__ import annotations

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_scheduler.state import events, tasks, transitions
from tercio_scheduler.state.columns import SubmitColumns
from tercio_scheduler.state.commands import CancelPlan, Submitted
from tercio_scheduler.state.rows import TERMINAL, PlanRow, State, TaskRow
from tercio_scheduler.state.tables import SchedulerTables

CANCEL_STEP = 1000
"""Tasks that one step of a cancellation looks at."""


def known_plan(tables: SchedulerTables, plan_id: str) -> PlanRow:
    """Return the plan's row.

    Raises:
        Refusal: PLAN_NOT_FOUND.
    """
    plan = tables.plans.get(plan_id)
    if plan is None:
        raise Refusal("PLAN_NOT_FOUND", f"no plan {plan_id!r} is kept: it was never accepted, or it ended too long ago")
    return plan


def new_plan(columns: SubmitColumns, at: Moment) -> PlanRow:
    """Return the row of a plan that is accepted now."""
    return PlanRow(
        plan_id=columns.plan_id,
        task_ids=tuple(columns.task_ids),
        submitter=at.principal,
        created_wall=at.wall,
        succeeded=0,
        failed=0,
        ended_wall=0,
        cancel_next=-1,
        cancel_reason="",
    )


def decide_known(plan: PlanRow, columns: SubmitColumns, *, refused: dict[int, Refusal]) -> Decision:
    """Answer a second submission of a plan: with no effect when it is the same."""
    if refused or plan.task_ids != tuple(columns.task_ids):
        raise Refusal(
            "PLAN_ID_REUSED",
            f"plan {plan.plan_id!r} is known with other content; choose another id",
            metadata={"planId": plan.plan_id},
        )
    return Decision((), Submitted((), len(plan.task_ids), plan))


def decide_cancel(tables: SchedulerTables, command: CancelPlan, at: Moment) -> Decision:
    """Cancel the first tasks of the plan."""
    plan = known_plan(tables, command.plan_id)
    event = _step(tables, plan, start=0, reason=command.reason, limit=CANCEL_STEP)
    if not event.task_ids and event.next_index < 0:
        return Decision((), plan)
    after = plan._replace(cancel_next=event.next_index, cancel_reason=command.reason if event.next_index >= 0 else "")
    for task_id in event.task_ids:
        row = tables.tasks[task_id]
        new = transitions.cancelled(row, command.reason, at, position=0)
        after = tasks.plan_after(after, row.state, new.state, at)
    return Decision((event,), after)


def step(tables: SchedulerTables, plan_id: str, *, limit: int) -> events.PlanCancelAdvanced:
    """Return the event that goes on with a plan's cancellation."""
    plan = tables.plans[plan_id]
    return _step(tables, plan, start=plan.cancel_next, reason=plan.cancel_reason, limit=limit)


def apply_cancel(tables: SchedulerTables, event: events.PlanCancelAdvanced, at: Moment) -> None:
    """Cancel these tasks and note where to go on."""
    for task_id in event.task_ids:
        row = tables.tasks[task_id]
        new = transitions.cancelled(row, event.reason, at, position=tables.take_positions(at))
        tasks.write(tables, row, new, at)
    reason = event.reason if event.next_index >= 0 else ""
    plan = tables.plans[event.plan_id]
    tables.plans.put(plan._replace(cancel_next=event.next_index, cancel_reason=reason))


def _step(tables: SchedulerTables, plan: PlanRow, *, start: int, reason: str, limit: int) -> events.PlanCancelAdvanced:
    end = start + limit
    rows = (tables.tasks.get(task_id) for task_id in plan.task_ids[start:end])
    chosen = tuple([row.task_id for row in rows if row is not None and _can_be_cancelled(row)])
    return events.PlanCancelAdvanced(plan.plan_id, reason, chosen, end if end < len(plan.task_ids) else -1)


def _can_be_cancelled(row: TaskRow) -> bool:
    return row.state not in TERMINAL and row.state is not State.CANCELLING
