"""Why a task stands where it stands, for readers."""

from __future__ import annotations

from collections.abc import Mapping

from tercio.api.scheduler.v1 import task_service_pb2
from tercio_scheduler.frames import claim_message
from tercio_scheduler.state.explain import Explanation
from tercio_scheduler.translate.tasks import task_message


def explanation_message(
    explanation: Explanation, *, progress: Mapping[str, int]
) -> task_service_pb2.ExplainTaskResponse:
    """Return an explanation as a message."""
    return task_service_pb2.ExplainTaskResponse(
        task=task_message(explanation.row, progress=progress),
        summary=explanation.summary,
        remedies=explanation.remedies,
        candidates=[
            task_service_pb2.ExplainTaskResponse.Candidate(
                agent_id=candidate.agent_id,
                eligible=candidate.eligible,
                obstacles=candidate.obstacles,
                missing_capabilities=candidate.missing,
            )
            for candidate in explanation.candidates
        ],
        waiting_for=explanation.waiting_for,
        tasks_ahead=explanation.tasks_ahead,
        missing_capabilities=explanation.missing,
        blockers=[
            task_service_pb2.ExplainTaskResponse.Blocker(owner=blocker.owner, claim=claim_message(blocker.claim))
            for blocker in explanation.blockers
        ],
        missing_resources=[task_service_pb2.ExplainTaskResponse.Gap(**gap._asdict()) for gap in explanation.gaps],
    )
