"""What is compared: Tercio's decisions, a fixed fleet, the rule of KEDA and Kubernetes, and an oracle."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from typing import Final, Protocol

from tercio_scaling.simulation.traces import Trace, occupancy
from tercio_scaling.state.decisions import evaluate
from tercio_scaling.state.forecasting import INTERVAL_MS, Arrivals, expected, noted, trusted
from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.steadiness import Memory


class Policy(Protocol):
    """Says how many agents there are to be."""

    def wanted(self, seen: Observation, *, arrived: int, now: int) -> int:
        """Decide after `arrived` more tasks since the last time."""
        ...


class Tercio:
    """The decisions of the scaling service."""

    def __init__(self, pool: AgentPool) -> None:
        self._pool = pool
        self._memory, self._arrivals = Memory(), Arrivals()
        self._count, self._next = 0, INTERVAL_MS
        self._ahead = max(1, -(-pool.startup // INTERVAL_MS))

    def wanted(self, seen: Observation, *, arrived: int, now: int) -> int:
        self._count += arrived
        if now >= self._next:
            self._arrivals = noted(self._arrivals, self._count, ahead=self._ahead)
            self._count, self._next = 0, self._next + INTERVAL_MS
        if trusted(self._arrivals):
            seen = seen._replace(foreseen=round(expected(self._arrivals, self._ahead) * seen.mean_run / INTERVAL_MS))
        verdict = evaluate(self._pool, seen, self._memory, now)
        self._memory = verdict.memory
        return verdict.agents


class FixedMost:
    """As many agents as there may be."""

    def __init__(self, pool: AgentPool) -> None:
        self._pool = pool

    def wanted(self, seen: Observation, *, arrived: int, now: int) -> int:
        return self._pool.most


class Reactive:
    """KEDA's queue length with the horizontal pod autoscaler's rule and defaults, as their documentation gives them.

    Desired is what waits or runs, divided by the slots of an agent; looked at every 15 s, within a tolerance of 10 %
    nothing moves; upwards by at most the double or four agents, downwards to the highest of the last 300 s.
    """

    _PERIOD_MS: Final = 15_000
    _TOLERANCE: Final = 0.1
    _STABILISATION_MS: Final = 300_000

    def __init__(self, pool: AgentPool) -> None:
        self._pool = pool
        self._looked = -self._PERIOD_MS
        self._past: deque[tuple[int, int]] = deque()

    def wanted(self, seen: Observation, *, arrived: int, now: int) -> int:
        present = seen.agents
        if now < self._looked + self._PERIOD_MS:
            return present
        self._looked = now
        demand = seen.waiting + seen.running
        if present and abs(demand / (present * self._pool.slots) - 1) <= self._TOLERANCE:
            desired = present
        else:
            desired = -(-demand // self._pool.slots)
        desired = max(self._pool.least, min(self._pool.most, desired, max(2 * present, present + 4)))
        self._past.append((now, desired))
        while self._past[0][0] < now - self._STABILISATION_MS:
            self._past.popleft()
        return desired if desired > present else min(present, max(each for _, each in self._past))


class Oracle:
    """Knows what comes: as many agents as keep everybody from waiting, there just in time."""

    def __init__(self, pool: AgentPool, trace: Trace) -> None:
        self._pool = pool
        steps = occupancy(trace.tasks)
        self._times, self._busy = [at for at, _ in steps], [busy for _, busy in steps]

    def wanted(self, seen: Observation, *, arrived: int, now: int) -> int:
        first = max(0, bisect_right(self._times, now) - 1)
        last = bisect_left(self._times, now + self._pool.startup)
        slots = max(self._busy[first : last + 1], default=0)
        return max(self._pool.least, min(self._pool.most, -(-slots // self._pool.slots)))
