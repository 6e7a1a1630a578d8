"""Agents in each other's way: several on one task, or in a role that one agent has."""

from __future__ import annotations

from collections.abc import Iterable

from tercio_conflicts.state.detectors.protocol import AGENT_CONFLICT, Finding, conflict_id, labels
from tercio_conflicts.state.severity import Severity
from tercio_conflicts.state.situation import Situation, Work


class SharedTasks:
    """One task on which several agents work."""

    name = "shared_tasks"

    def detect(self, situation: Situation) -> Iterable[Finding]:
        workers: dict[str, list[Work]] = {}
        for each in situation.work:
            if each.running and each.agent_id:
                workers.setdefault(each.task_id, []).append(each)
        for task_id, works in sorted(workers.items()):
            agents = sorted({each.agent_id for each in works})
            if len(agents) > 1:
                yield Finding(
                    conflict_id("task_conflict", task_id),
                    AGENT_CONFLICT,
                    tuple(agents),
                    Severity.HIGH,
                    1.0,
                    labels(task=task_id, type="shared_task"),
                    tasks=(task_id,),
                )


class SharedRoles:
    """A role that one agent is to have, and several have."""

    name = "shared_roles"

    def detect(self, situation: Situation) -> Iterable[Finding]:
        holders: dict[str, list[Work]] = {}
        for each in situation.work:
            if each.unique_role and each.running and each.agent_id:
                holders.setdefault(each.role, []).append(each)
        for role, works in sorted(holders.items()):
            agents = sorted({each.agent_id for each in works})
            if len(agents) > 1:
                yield Finding(
                    conflict_id("role_conflict", role),
                    AGENT_CONFLICT,
                    tuple(agents),
                    Severity.MEDIUM,
                    1.0,
                    labels(role=role, type="shared_role"),
                    tasks=tuple(sorted(each.task_id for each in works)),
                )
