"""One heartbeat: whose lease it renews, or why none. Changes no table, and remembers nothing of unknown agents."""

from __future__ import annotations

from typing import NamedTuple

from tercio_common.epochs import Epoch
from tercio_common.machine.table import Table
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.session import Session
from tercio_registry.state.vitals import Vitals

NOT_FOUND = "AGENT_NOT_FOUND"
REPLACED = "AGENT_REPLACED"
GONE = "AGENT_GONE"


class Answer(NamedTuple):
    """What became of one heartbeat, and what the agent is asked to do; `reason` is empty when the lease was renewed."""

    agent_id: str
    incarnation: int
    reason: str = ""
    cordoned: bool = False
    draining: bool = False


def receive(
    agents: Table[AgentRow],
    agent_id: str,
    incarnation: int,
    *,
    session: Session,
    now: int,
    epoch: Epoch,
    active_attempts: int = 0,
    vitals: Vitals | None = None,
) -> Answer:
    """Renew the lease of that incarnation at fleet time `now`."""
    row = agents.get(agent_id)
    answer = answer_for(row, agent_id, incarnation)
    if row is not None and not answer.reason:
        generation, revision = epoch
        session.renew(row, now, generation=generation, revision=revision, active_attempts=active_attempts)
        if vitals is not None:
            session.observe(row, vitals)
    return answer


def answer_for(row: AgentRow | None, agent_id: str, incarnation: int) -> Answer:
    """Return what that incarnation of an agent is told at this row."""
    if row is None or incarnation > row.incarnation:
        # A higher incarnation than any known was registered with a store that is lost: the agent registers again.
        return Answer(agent_id, incarnation, NOT_FOUND)
    if incarnation < row.incarnation:
        return Answer(agent_id, incarnation, REPLACED)
    if not row.active:
        return Answer(agent_id, incarnation, GONE)
    return Answer(agent_id, incarnation, "", row.cordoned, row.draining)
