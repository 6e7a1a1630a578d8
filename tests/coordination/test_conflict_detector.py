"""The detectors of the running service, as those who describe coordination by its outcome ask for them."""

from __future__ import annotations

from support.disputes import RESOLVED, RESOLVING, Disputes
from tercio.api.conflicts.v1 import conflict_pb2, severity_pb2


async def set_active_file_access(disputes: Disputes, access: dict[str, list[str]]) -> None:
    """Tell which agents write which files."""
    work = [
        conflict_pb2.Work(task_id=f"task-{agent}", agent_id=agent, files=[path])
        for path, agents in access.items()
        for agent in agents
    ]
    await disputes.work(*work)


async def set_recent_decisions(disputes: Disputes, decisions: list[tuple[str, str, str]]) -> None:
    """Post decisions: agent, role, choice."""
    for agent, role, choice in decisions:
        await disputes.decide(agent, "architecture", choice, role=role)


class TestConflictDetector:
    async def test_two_agents_on_one_file_are_one_resource_contention(self, disputes: Disputes) -> None:
        await set_active_file_access(disputes, {"src/main.py": ["agent_1", "agent_2"], "src/other.py": ["agent_3"]})
        (conflict,) = await disputes.until(RESOLVING)
        analysis = conflict.conflict_analysis
        assert analysis.type == "resource_contention"
        assert list(analysis.agent_ids) == ["agent_1", "agent_2"]
        assert analysis.severity == severity_pb2.SEVERITY_MEDIUM
        assert (analysis.context["resource"], analysis.context["type"]) == ("src/main.py", "file_access")
        assert conflict.conflict_id.startswith("file_conflict_")

    async def test_an_open_conflict_is_not_raised_twice(self, disputes: Disputes) -> None:
        for _ in range(3):
            await set_active_file_access(disputes, {"src/main.py": ["agent_1", "agent_2"]})
        (conflict,) = await disputes.until(RESOLVING)
        assert conflict.occurrence == 1

    async def test_microservices_against_a_monolith_are_one_technical_disagreement(self, disputes: Disputes) -> None:
        decisions = [("agent_1", "architect", "use_microservices"), ("agent_2", "engineer", "use_monolith")]
        await set_recent_decisions(disputes, decisions)
        (conflict,) = await disputes.until(RESOLVED)
        analysis = conflict.conflict_analysis
        assert analysis.type == "technical_disagreement"
        assert list(analysis.agent_ids) == ["agent_1", "agent_2"]
        assert conflict.conflict_id.startswith("technical_conflict_")

    async def test_agents_that_agree_are_in_no_conflict(self, disputes: Disputes) -> None:
        decisions = [("agent_1", "architect", "use_microservices"), ("agent_2", "engineer", "adopt microservices")]
        await set_recent_decisions(disputes, decisions)
        await set_active_file_access(disputes, {"a.py": ["agent_1"], "b.py": ["agent_2"]})
        assert await disputes.listed() == []
