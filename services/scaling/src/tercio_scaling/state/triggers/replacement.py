"""Replacement: who was lost is replaced, so that a failure is no reason to shrink."""

from __future__ import annotations

from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.triggers.protocol import Proposal


def replacement(_pool: AgentPool, seen: Observation) -> Proposal | None:
    """Ask for those that were lost."""
    if not seen.failed:
        return None
    return Proposal("replacement", seen.agents + seen.failed, f"{seen.failed} agents were lost")
