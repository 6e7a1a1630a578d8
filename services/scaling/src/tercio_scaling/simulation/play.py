"""Plays one trace against one policy and counts what it cost and whom it let wait."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Final, NamedTuple

from tercio_scaling.simulation.fleet import Fleet
from tercio_scaling.simulation.policies import Policy
from tercio_scaling.simulation.traces import HOUR_MS, Task, Trace
from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool

STEP_MS: Final = 5_000
SLO_WAIT_MS: Final = 120_000
"""A task that waits for longer is a miss: twice the time that an agent takes to start."""
SLO_MISSES: Final = 0.01
"""The objective holds while at most this part of the tasks are misses."""
FLAP_MS: Final = 600_000
"""A change of direction within this time of the last change is a flap."""
_RECENT: Final = 50


class Played(NamedTuple):
    """What came of it.

    Attributes:
        tasks: how many were judged.
        misses: how many of them waited for too long.
        agent_hours: from when agents were asked for until they were gone.
        changes: of the number of agents that was wanted.
        flaps: changes of direction soon after the last change.
    """

    tasks: int
    misses: int
    agent_hours: float
    changes: int
    flaps: int

    @property
    def holds(self) -> bool:
        """Whether the objective was kept."""
        return self.misses <= SLO_MISSES * self.tasks


def play(trace: Trace, pool: AgentPool, policy: Policy) -> Played:
    """Play the trace until every task has begun."""
    fleet, tasks = Fleet(pool.slots, pool.startup), deque(trace.tasks)
    fleet.scale(pool.least)
    end = trace.tasks[-1].arrives if trace.tasks else 0
    changes: list[tuple[int, int]] = []
    now, paid_before = 0, 0
    while now <= end or fleet.waiting:
        arrived = _advance(fleet, tasks, now)
        if now <= trace.judged_from:
            paid_before = _paid(fleet)
        seen = _seen(fleet, now)
        agents = policy.wanted(seen, arrived=arrived, now=now)
        if agents != seen.agents:
            fleet.scale(agents)
            changes.append((now, agents - seen.agents))
        now += STEP_MS
    fleet.close()
    judged = [wait for arrival, wait in fleet.waits if arrival >= trace.judged_from]
    recent = [each for each in changes if each[0] >= trace.judged_from]
    return Played(
        tasks=len(judged),
        misses=sum(wait > SLO_WAIT_MS for wait in judged),
        agent_hours=(fleet.agent_ms - paid_before) / HOUR_MS,
        changes=len(recent),
        flaps=_flaps(recent),
    )


def _advance(fleet: Fleet, tasks: deque[Task], now: int) -> int:
    arrived = 0
    while tasks and tasks[0].arrives <= now:
        task = tasks.popleft()
        fleet.advance(task.arrives)
        fleet.arrive(task)
        arrived += 1
    fleet.advance(now)
    return arrived


def _seen(fleet: Fleet, now: int) -> Observation:
    staying, recent = fleet.staying, fleet.ended[-_RECENT:]
    return Observation(
        waiting=len(fleet.waiting),
        oldest_wait=now - fleet.waiting[0].arrives if fleet.waiting else 0,
        running=sum([agent.busy for agent in staying]),
        mean_run=sum([runs for _, runs in recent]) // len(recent) if recent else 0,
        ready=len(staying),
        starting=fleet.starting,
        leaving=fleet.leaving,
    )


def _paid(fleet: Fleet) -> int:
    return fleet.agent_ms + fleet.owed


def _flaps(changes: list[tuple[int, int]]) -> int:
    return sum(
        (was > 0) != (change > 0) and at - before <= FLAP_MS for (before, was), (at, change) in pairwise(changes)
    )
