"""A task that collides with others is resolved without anybody being asked who is not an agent."""

from __future__ import annotations

from support.disputes import RESOLVED, RESOLVING, Disputes
from tercio.api.conflicts.v1 import conflict_pb2
from tercio.api.conflicts.v1 import conflict_service_pb2 as pb


def create_test_task_context(task_id: str = "task-1", agent_id: str = "agent_1") -> conflict_pb2.Work:
    """Return a task that edits a file."""
    return conflict_pb2.Work(task_id=task_id, agent_id=agent_id, files=["src/main.py"], priority=5)


def create_conflicting_task_context() -> conflict_pb2.Work:
    """Return a task that edits the same file."""
    return create_test_task_context("task-2", "agent_2")


class TestCoordinationIntegration:
    async def test_a_conflicting_task_is_seen_before_it_is_assigned(self, disputes: Disputes) -> None:
        await disputes.work(create_test_task_context())
        request = pb.CheckConflictsRequest(work=[create_conflicting_task_context()])
        (conflict,) = (await disputes.conflicts.CheckConflicts(request)).conflicts
        assert list(conflict.conflict_analysis.task_ids) == ["task-1", "task-2"]

    async def test_a_conflicting_task_resolves(self, disputes: Disputes) -> None:
        first, second = create_test_task_context(), create_conflicting_task_context()
        await disputes.work(first, second)
        await disputes.until(RESOLVING)
        (hold,) = await disputes.actions()
        assert (hold.kind, hold.task_id, hold.after_task_id) == (conflict_pb2.Action.KIND_HOLD, "task-2", "task-1")
        await disputes.report(hold)
        second.waiting = True
        await disputes.work(first, second)
        conflict_history = await disputes.until(RESOLVED)
        assert conflict_history
        for conflict in conflict_history:
            escalation_status = conflict.escalation if conflict.HasField("escalation") else None
            assert escalation_status is None
            assert conflict.resolution_validation
            assert conflict.resolution_duration.ToMilliseconds() >= 0

    async def test_agents_settle_what_they_disagree_about(self, disputes: Disputes) -> None:
        await disputes.decide("agent_1", "queue", "RabbitMQ", "jobs")
        second = await disputes.decide("agent_2", "queue", "Kafka", "jobs")
        await disputes.until(RESOLVING)
        await disputes.answer(second.decision_ids[0], await disputes.asked())
        (conflict,) = await disputes.until(RESOLVED)
        assert conflict.resolution_strategy == "research_consultation"
        assert not conflict.HasField("escalation")
