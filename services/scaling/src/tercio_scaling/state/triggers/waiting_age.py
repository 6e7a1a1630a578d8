"""Age: a task that has waited for too long says that the other triggers reckon wrongly."""

from __future__ import annotations

from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.triggers.protocol import Proposal


def waiting_age(pool: AgentPool, seen: Observation) -> Proposal | None:
    """Ask for one step more, once those that were asked for are there."""
    if seen.oldest_wait <= pool.wait_target:
        return None
    more = 0 if seen.starting else pool.up_step
    why = f"a task has waited for {seen.oldest_wait} ms, {pool.wait_target} are allowed"
    return Proposal("waiting_age", seen.agents + more, why)
