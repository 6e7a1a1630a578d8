"""Consultation: agents that did not take part say which decision prevails, and the majority counts."""

from __future__ import annotations

from typing import Final

from tercio_conflicts.state.detectors.protocol import AGENT_CONFLICT, TECHNICAL_DISAGREEMENT
from tercio_conflicts.state.dispute_rows import ConflictRow
from tercio_conflicts.state.resolutions.parties import parties
from tercio_conflicts.state.resolutions.protocol import Counsel, Plan, Rejected
from tercio_conflicts.state.situation import Situation

_MOST_ASKED: Final = 3
"""An odd number, so that two opinions cannot be even."""


class ResearchConsultation:
    """Asks consultants; without any, agents that work on something else."""

    name = "research_consultation"
    types = frozenset({TECHNICAL_DISAGREEMENT, AGENT_CONFLICT})

    def plan(self, conflict: ConflictRow, situation: Situation, counsel: Counsel) -> Plan | Rejected:
        if not parties(conflict, situation):
            return Rejected("there is no decision to choose between")
        others = sorted({work.agent_id for work in situation.work if work.agent_id} - set(conflict.agents))
        asked = tuple(dict.fromkeys([*counsel.consultants, *others]))[:_MOST_ASKED]
        if not asked:
            return Rejected("there is nobody to ask; name consultants in the settings")
        return Plan(
            f"asked for their opinion: {', '.join(asked)}",
            wait=counsel.timeout,
            ask=asked,
            prevention="the answer is an established choice from now on",
        )
