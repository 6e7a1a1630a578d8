"""Ends of tasks in columns, for the clients that submitted them."""

from __future__ import annotations

from collections.abc import Sequence

from tercio.api.scheduler.v1 import task_service_pb2
from tercio_scheduler.state.commands import RefusedTask
from tercio_scheduler.state.rows import State, TaskRow

Response = task_service_pb2.SubmitStreamResponse


def results_of(rows: Sequence[TaskRow]) -> Response.Results:
    """Return what became of finished tasks."""
    results = [row.result for row in rows]
    return Response.Results(
        task_ids=[row.task_id for row in rows],
        states=[int(row.state) for row in rows],  # type: ignore[misc]  # the numbers are the contract's
        results=results if any(results) else (),
        failures=[
            Response.AttemptFailure(index=index, reason=row.why.reason, message=row.why.message)
            for index, row in enumerate(rows)
            if row.state is not State.SUCCEEDED
        ],
    )


def refusal_of(refused: RefusedTask) -> Response.Refusal:
    """Return why one task was refused."""
    return Response.Refusal(task_id=refused.task_id, reason=refused.reason, message=refused.message)
