"""What is seen of a pool from outside: its demand, its agents, and what its driver has. Decisions are drawn from it."""

from __future__ import annotations

from typing import NamedTuple

NEVER_SEEN = -1
"""Age of what was not seen yet."""


class Demand(NamedTuple):
    """What the scheduler has for a pool. Times in ms.

    Attributes:
        waiting: tasks that its agents could run and that nobody runs.
        oldest_wait: how long the first of them has waited.
        mean_run: how long an attempt ran of late; 0 while unknown.
        response: how long waiting and running took of what ended lately; 0 while unknown.
        response_before: the same a window earlier; 0 while unknown.
        arrived: tasks that arrived for it since this leader began to watch; only ever rises within a leadership.
    """

    waiting: int = 0
    oldest_wait: int = 0
    mean_run: int = 0
    response: int = 0
    response_before: int = 0
    arrived: int = 0


class AgentSeen(NamedTuple):
    """One agent of a pool, as the registry and the scheduler see it.

    Attributes:
        agent_id: the key; in a pool that a driver looks after it is what the driver calls the agent.
        living: the registry counts it as active or degraded. False is the same as not naming it.
        takes_work: the scheduler gives it new work.
        cordoned: the registry keeps new work from it: it is cordoned or drains.
        held: attempts that it holds.
        work: what would be lost with it, in ms of work done on what it holds; 0 while unknown.
        since_ms: wall time in ms since when it is registered.
    """

    agent_id: str
    living: bool = True
    takes_work: bool = True
    cordoned: bool = False
    held: int = 0
    work: int = 0
    since_ms: int = 0


class MemberSeen(NamedTuple):
    """One agent's process or Pod, as its driver sees it: `drivers.protocol.Member`, field by field.

    `phase` is `starting`, `running`, `leaving` or `failed`; `since_ms` is wall time since when it is there.
    """

    agent_id: str
    phase: str
    since_ms: int
    uid: str = ""


class PoolSeen(NamedTuple):
    """Everything that is seen of one pool at one moment. Ages are in ms, NEVER_SEEN for what was not seen yet.

    What is older than `Rules.stale` decides nothing, and changes nothing (an outage is no reason to scale).

    Attributes:
        pool_id: which.
        demand: what the scheduler says.
        demand_age: how old that is.
        agents: every agent with the label of the pool, in any order.
        agents_age: how old the registry's word about them is.
        members: what the driver has, in any order; empty for a driver `external`, which has no view.
        asked: how many the driver is asked to keep; -1 for a driver `external`.
        view_age: how old that is; 0 for a driver `external`.
        watched: for how long all of it was seen without a gap longer than `Rules.stale`, by this leader, in ms.
    """

    pool_id: str
    demand: Demand = Demand()
    demand_age: int = NEVER_SEEN
    agents: tuple[AgentSeen, ...] = ()
    agents_age: int = NEVER_SEEN
    members: tuple[MemberSeen, ...] = ()
    asked: int = -1
    view_age: int = NEVER_SEEN
    watched: int = 0

    def is_fresh(self, stale: int) -> bool:
        """Tell whether a decision may be drawn from it."""
        return all(0 <= age <= stale for age in (self.demand_age, self.agents_age, self.view_age))
