"""Forecast: what will be busy on average once an agent has started. Chance is left to the other triggers."""

from __future__ import annotations

from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.triggers.protocol import Proposal, agents_for


def forecast(pool: AgentPool, seen: Observation) -> Proposal | None:
    """Ask for what is foreseen."""
    if seen.foreseen < 0:
        return None
    why = f"{seen.foreseen} slots will be busy in {pool.startup} ms"
    return Proposal("forecast", agents_for(seen.foreseen, pool), why)
