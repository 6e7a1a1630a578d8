"""What is asked of one incarnation of an agent concerns that one alone.

The scheduler knows agents' processes, not their incarnations, so what is asked names the process as well. An outcome
for an incarnation that is replaced meanwhile says nothing about the present one: whatever it was, that agent is gone.
"""

from __future__ import annotations

from collections.abc import Iterable

from tercio_common.errors import Refusal
from tercio_common.machine.system_tasks import Result, SystemTaskOutcome, SystemTasks, SystemTaskWanted
from tercio_common.machine.table import Table
from tercio_registry.state.agents import AgentRow


def addressed(agents: Table[AgentRow], wanted: Iterable[SystemTaskWanted]) -> tuple[SystemTaskWanted, ...]:
    """Name the process of each incarnation that is asked.

    Raises:
        Refusal: AGENT_REPLACED when it is not the present one.
    """
    return tuple(_addressed(agents, one) if one.incarnation else one for one in wanted)


def attributed(
    agents: Table[AgentRow], open_tasks: SystemTasks, outcomes: Iterable[SystemTaskOutcome]
) -> tuple[SystemTaskOutcome, ...]:
    """Return the outcomes, with AGENT_GONE for each that is about an incarnation that is no longer present."""
    return tuple(_attributed(agents, open_tasks, outcome) for outcome in outcomes)


def _addressed(agents: Table[AgentRow], wanted: SystemTaskWanted) -> SystemTaskWanted:
    row = agents.get(wanted.agent_id)
    if row is None or row.incarnation != wanted.incarnation:
        raise Refusal("AGENT_REPLACED", f"incarnation {wanted.incarnation} of agent {wanted.agent_id} is not present")
    return wanted._replace(instance_id=row.instance_id)


def _attributed(agents: Table[AgentRow], open_tasks: SystemTasks, outcome: SystemTaskOutcome) -> SystemTaskOutcome:
    asked = open_tasks.table.get(outcome.system_task_id)
    if asked is None or not asked.incarnation:
        return outcome
    row = agents.get(asked.agent_id)
    if row is not None and row.incarnation == asked.incarnation:
        return outcome
    message = f"incarnation {asked.incarnation} was replaced before its outcome was known"
    return SystemTaskOutcome(outcome.system_task_id, Result.AGENT_GONE, b"", "AGENT_REPLACED", message)
