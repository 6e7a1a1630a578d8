"""Queue depth: what waits is to get a slot within the target.

Slots become free by themselves: each ends about one attempt in the mean time that one runs. So only as many are needed
as can begin everything that waits within the target, beside what runs (Little's law); while that time is unknown,
everything that waits is given a slot of its own.
"""

from __future__ import annotations

from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.triggers.protocol import Proposal, agents_for


def queue_depth(pool: AgentPool, seen: Observation) -> Proposal:
    """Ask for what runs, and for what begins the rest in time."""
    demand = seen.running + seen.waiting
    slots = demand if not seen.mean_run else -(-demand * seen.mean_run // (seen.mean_run + pool.wait_target))
    why = f"{seen.waiting} tasks wait and {seen.running} run, for {seen.mean_run} ms each"
    return Proposal("queue_depth", agents_for(max(seen.running, slots), pool), why)
