"""The times and thresholds by which health is judged.

One number, the heartbeat interval, gives all times of the lease. A heartbeat counts as missed half an interval after it
was due: agents spread their intervals by a tenth, and a slow network must not make a healthy fleet flicker.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from tercio_registry.state.agents import Health

_JITTER_PERCENT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Times in ms of fleet time, and limits.

    Attributes:
        interval: mean time between two heartbeats of an agent.
        retention: how long an agent that is gone or deregistered keeps its id.
        max_live_bytes: about how much all rows may take.
        max_agents: how many may be active at once.
        failure_threshold: bad observations in a row after which an agent ails.
        recovery_streak: good ones in a row after which it no longer does, and punctual heartbeats after missed ones.
        recovered_percent: of a threshold; only under it an observation is good.
        memory_percent, disk_percent, queue_percent: shares in use from which an observation is bad.
        error_percent: failed attempts per attempts from which an observation is bad.
        least_attempts: attempts that make one observation of the error rate.
        slow_percent: time that attempts take, per time that they should, from which an observation is bad; 0 is never.
        canary_interval: mean time between two canaries of an agent; 0 sends none.
        canary_timeout: how long an agent may take to answer one.
    """

    interval: int = 10_000
    retention: int = 3_600_000
    max_live_bytes: int = 64 << 20
    max_agents: int = 10_000
    failure_threshold: int = 3
    recovery_streak: int = 3
    recovered_percent: int = 80
    memory_percent: int = 90
    disk_percent: int = 95
    queue_percent: int = 100
    error_percent: int = 50
    least_attempts: int = 5
    slow_percent: int = 300
    canary_interval: int = 30_000
    canary_timeout: int = 10_000

    @property
    def ttl(self) -> int:
        """Without a renewal for this long an agent is gone."""
        return 3 * self.interval

    @property
    def granularity(self) -> int:
        """Deadlines are rounded up to multiples of this, so that a large fleet needs few ticks."""
        return max(1, min(100, self.interval // 20))

    @property
    def degraded_after(self) -> int:
        """Age of the last renewal at which one heartbeat counts as missed."""
        return self.interval * 3 // 2

    @property
    def unhealthy_after(self) -> int:
        """Age of the last renewal at which two heartbeats count as missed."""
        return self.interval * 5 // 2

    def regularity_at(self, age: int) -> Health:
        """Return how an active agent renews whose last renewal is `age` old."""
        if age >= self.unhealthy_after:
            return Health.UNHEALTHY
        return Health.DEGRADED if age >= self.degraded_after else Health.HEALTHY

    def next_age(self, age: int) -> int:
        """Return the next age at which that may change."""
        if age < self.degraded_after:
            return self.degraded_after
        return self.unhealthy_after if age < self.unhealthy_after else self.ttl

    def interval_of(self, agent_id: str) -> int:
        """Interval for one agent: always the same, and different from its neighbours', so that a fleet spreads out."""
        return max(1, _spread(self.interval, agent_id))

    def canary_interval_of(self, agent_id: str) -> int:
        """Time between two canaries of one agent, spread like its heartbeats."""
        return _spread(self.canary_interval, agent_id)


def _spread(mean: int, agent_id: str) -> int:
    step = zlib.crc32(agent_id.encode()) % (20 * _JITTER_PERCENT + 1) - 10 * _JITTER_PERCENT
    return mean + mean * step // 1000
