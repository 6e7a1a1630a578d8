"""Utilisation: the part of the slots that is busy, with a gap between growing and shrinking (hysteresis)."""

from __future__ import annotations

from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.triggers.protocol import Proposal, agents_for


def utilisation(pool: AgentPool, seen: Observation) -> Proposal | None:
    """Ask for as many agents as keep the slots at the upper threshold, and for the present ones between the two."""
    slots = seen.agents * pool.slots
    if not slots:
        return None
    busy = 1000 * seen.running // slots
    why = f"{busy // 10} % of {slots} slots are busy"
    least = agents_for(-(-1000 * seen.running // pool.up_threshold), pool)
    if pool.down_threshold <= busy <= pool.up_threshold:
        return Proposal("utilisation", seen.agents, why, yields=True, least=least)
    return Proposal("utilisation", least, why)
