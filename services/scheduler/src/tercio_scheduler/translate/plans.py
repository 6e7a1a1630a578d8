"""Plans for readers."""

from __future__ import annotations

from tercio.api.scheduler.v1 import plan_pb2
from tercio_scheduler.frames import timestamp
from tercio_scheduler.state.rows import PlanRow
from tercio_scheduler.state.views import plan_state
from tercio_scheduler.translate.bounds import PLAN_ID, Bounds


def plan_id_of(plan_id: str, found: Bounds) -> str:
    """Check the id of one plan and return it."""
    found.check_pattern("plan_id", plan_id, PLAN_ID)
    return plan_id


def plan_message(row: PlanRow, *, with_tasks: bool = False) -> plan_pb2.Plan:
    """Return a plan as its readers see it."""
    plan = plan_pb2.Plan(
        plan_id=row.plan_id,
        state=plan_pb2.Plan.State.Value(f"STATE_{plan_state(row)}"),
        task_count=len(row.task_ids),
        succeeded_count=row.succeeded,
        failed_count=row.failed,
        create_time=timestamp(row.created_wall),
        task_ids=row.task_ids if with_tasks else (),
    )
    if row.ended_wall:
        plan.end_time.CopyFrom(timestamp(row.ended_wall))
    return plan
