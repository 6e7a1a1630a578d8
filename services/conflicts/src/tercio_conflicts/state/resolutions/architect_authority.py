"""Architect's authority: an architect's own decision prevails; else the architect is asked."""

from __future__ import annotations

from tercio_conflicts.state.detectors.protocol import TECHNICAL_DISAGREEMENT
from tercio_conflicts.state.dispute_rows import ConflictRow
from tercio_conflicts.state.resolutions.parties import parties, prevails
from tercio_conflicts.state.resolutions.protocol import Counsel, Plan, Rejected
from tercio_conflicts.state.situation import Situation


class ArchitectAuthority:
    """Lets the architect decide, if there is one."""

    name = "architect_authority"
    types = frozenset({TECHNICAL_DISAGREEMENT})

    def plan(self, conflict: ConflictRow, situation: Situation, counsel: Counsel) -> Plan | Rejected:
        rows = parties(conflict, situation)
        own = [row for row in rows if row.role == counsel.architect_role or row.agent_id in counsel.architects]
        if own and len({row.agent_id for row in own}) == 1:
            latest = max(own, key=lambda row: row.number)
            return prevails(latest, conflict, situation, f"{latest.agent_id} decides as the architect")
        present = {work.agent_id for work in situation.work if work.role == counsel.architect_role and work.agent_id}
        architects = [*counsel.architects, *sorted(present - set(counsel.architects))]
        if not architects:
            return Rejected("there is no architect to ask; name one in the settings, or in the role of an agent")
        return Plan(
            f"{architects[0]} is asked as the architect",
            wait=counsel.timeout,
            ask=tuple(architects[:1]),
            prevention="the answer is an established choice from now on",
        )
