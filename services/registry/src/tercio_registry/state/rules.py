"""The times by which health is judged.

One number, the heartbeat interval, gives all others. A heartbeat counts as missed half an interval after it was due:
agents spread their intervals by a tenth, and a slow network must not make a healthy fleet flicker.
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
    """

    interval: int = 10_000
    retention: int = 3_600_000
    max_live_bytes: int = 64 << 20

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

    def health_at(self, age: int) -> Health:
        """Return the health of an active agent whose last renewal is `age` old."""
        if age >= self.unhealthy_after:
            return Health.UNHEALTHY
        return Health.DEGRADED if age >= self.degraded_after else Health.HEALTHY

    def next_age(self, age: int) -> int:
        """Return the next age at which the health of an agent may change."""
        if age < self.degraded_after:
            return self.degraded_after
        return self.unhealthy_after if age < self.unhealthy_after else self.ttl

    def interval_of(self, agent_id: str) -> int:
        """Interval for one agent: always the same, and different from its neighbours', so that a fleet spreads out."""
        step = zlib.crc32(agent_id.encode()) % (20 * _JITTER_PERCENT + 1) - 10 * _JITTER_PERCENT
        return max(1, self.interval + self.interval * step // 1000)
