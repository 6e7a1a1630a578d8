"""Whether an agent is to take new work: cordon and drain.

A cordon belongs to the agent's id and outlives restarts: an agent on a bad machine does not come back into service by
crashing. A drain belongs to one incarnation: it is done once that process has left. Lifting the cordon ends a drain as
well, because it is meant to let new work in.
"""

from __future__ import annotations

from dataclasses import replace

from tercio_common.machine.protocol import Moment
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.commands import CordonAgent, DrainAgent
from tercio_registry.state.events import AgentCordoned, AgentDrained
from tercio_registry.state.registration import active


def cordon(command: CordonAgent, row: AgentRow | None) -> AgentCordoned | None:
    """Decide a cordon or its end; None when nothing changes.

    Raises:
        Refusal: AGENT_NOT_FOUND or AGENT_NOT_ACTIVE.
    """
    row = active(command.agent_id, row)
    if command.cordoned:
        unchanged = row.cordoned and row.reason == command.reason
    else:
        unchanged = not row.cordoned and not row.draining
    if unchanged:
        return None
    return AgentCordoned(agent_id=row.agent_id, cordoned=command.cordoned, reason=command.reason)


def cordoned(event: AgentCordoned, row: AgentRow, at: Moment) -> AgentRow:
    """Return the row after a cordon or its end."""
    return replace(
        row,
        cordoned=event.cordoned,
        draining=row.draining and event.cordoned,
        leave_by=row.leave_by if event.cordoned else 0,
        reason=event.reason if event.cordoned else "",
        changed_seq=at.seq,
    )


def drain(command: DrainAgent, row: AgentRow | None) -> AgentDrained | None:
    """Decide a drain; None when nothing changes. Raises like `cordon`."""
    row = active(command.agent_id, row)
    if row.draining and row.reason == command.reason:
        return None
    return AgentDrained(agent_id=row.agent_id, reason=command.reason)


def drained(event: AgentDrained, row: AgentRow, at: Moment) -> AgentRow:
    """Return the row after the agent was asked to leave."""
    return replace(row, draining=True, reason=event.reason, leave_by=event.leave_by, changed_seq=at.seq)
