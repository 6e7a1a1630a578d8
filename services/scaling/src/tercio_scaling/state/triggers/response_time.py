"""Response time: waiting and running together take too long, and ever longer."""

from __future__ import annotations

from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.triggers.protocol import Proposal


def response_time(pool: AgentPool, seen: Observation) -> Proposal | None:
    """Ask for one step more while it rises over the target, and let nobody go before it is within it."""
    if not pool.response_target or seen.response <= pool.response_target:
        return None
    rises = seen.response > seen.response_before
    more = pool.up_step if rises and not seen.starting else 0
    why = f"a task takes {seen.response} ms after {seen.response_before} ms before, {pool.response_target} are allowed"
    return Proposal("response_time", seen.agents + more, why)
