"""Plans as records."""

from __future__ import annotations

from tercio_scheduler.records.v1 import events_pb2 as records
from tercio_scheduler.state.rows import PlanRow


def row_record(plan: PlanRow) -> records.PlanRow:
    """Return the row as a record."""
    return records.PlanRow(
        plan_id=plan.plan_id,
        task_ids=plan.task_ids,
        submitter=plan.submitter,
        created_wall_ms=plan.created_wall,
        succeeded=plan.succeeded,
        failed=plan.failed,
        ended_wall_ms=plan.ended_wall,
        cancel_next=plan.cancel_next,
        cancel_reason=plan.cancel_reason,
    )


def row_of(message: records.PlanRow) -> PlanRow:
    """Return the row that a record holds."""
    return PlanRow(
        plan_id=message.plan_id,
        task_ids=tuple(message.task_ids),
        submitter=message.submitter,
        created_wall=message.created_wall_ms,
        succeeded=message.succeeded,
        failed=message.failed,
        ended_wall=message.ended_wall_ms,
        cancel_next=message.cancel_next,
        cancel_reason=message.cancel_reason,
    )
