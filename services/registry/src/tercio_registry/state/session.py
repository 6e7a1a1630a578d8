"""What one leader has heard: session state, lost with the leadership and rebuilt from the agents' next heartbeats.

A renewal costs one entry in a dictionary. The session also knows whether the leader was listening at all: a process
that was stopped, or whose event loop hung, must not charge agents with heartbeats that lie unread in its sockets.
"""

from __future__ import annotations

from collections.abc import Iterable

from tercio_registry.state.agents import AgentRow, Health
from tercio_registry.state.rules import Rules


class Session:
    """Last renewals, in ms of fleet time. The edge writes it; `decide` only reads."""

    __slots__ = ("_active", "_began", "_heard", "_pending", "_renewals", "_reports", "rules")

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._renewals: dict[str, int] = {}
        self._active: dict[str, int] = {}  # attempts that agents run; idle ones are left out
        self._reports: dict[str, bytes] = {}
        self._pending: dict[str, None] = {}
        self._began = -1
        self._heard = -1

    def pulse(self, now: int) -> None:
        """Note that the leader is listening. After a gap it begins anew."""
        self._began, self._heard = self.listening_since(now), now

    def listening_since(self, now: int) -> int:
        """Return since when the leader has listened without a gap of more than one interval; `now` if it has not."""
        if self._heard < 0 or now - self._heard > self.rules.interval:
            return now
        return self._began

    def renew(self, row: AgentRow, now: int, *, generation: int, revision: int, active_attempts: int = 0) -> bool:
        """Note a renewal of an active agent; return whether it brings a transition, which waits in `take_pending`."""
        self._renewals[row.agent_id] = now
        if active_attempts:
            self._active[row.agent_id] = active_attempts
        else:
            self._active.pop(row.agent_id, None)
        if row.health is Health.HEALTHY and row.confirmed_by(generation, revision):
            return False
        self._pending[row.agent_id] = None
        return True

    def last_renewal(self, agent_id: str) -> int | None:
        """Return the last renewal that this leader has heard."""
        return self._renewals.get(agent_id)

    def active_attempts(self, agent_id: str) -> int:
        """Return how many attempts the agent was running at its last renewal; 0 when it was not heard."""
        return self._active.get(agent_id, 0)

    def keep_report(self, agent_id: str, report: bytes) -> None:
        """Keep how the agent's registration went, as the edge wrote it."""
        self._reports[agent_id] = report

    def report(self, agent_id: str) -> bytes:
        """Return how the agent's registration with this leader went; empty when it was with another."""
        return self._reports.get(agent_id, b"")

    def lease_start(self, row: AgentRow, now: int) -> int:
        """Return from when the agent's lease is counted: never from before this leader listened."""
        return max(self.listening_since(now), row.enrolled_now, self._renewals.get(row.agent_id, 0))

    @property
    def has_pending(self) -> bool:
        """True while renewals wait that bring a transition."""
        return bool(self._pending)

    def take_pending(self, limit: int) -> tuple[str, ...]:
        """Remove and return up to `limit` agents whose renewal brings a transition, the oldest first."""
        taken = tuple(agent_id for agent_id, _ in zip(self._pending, range(limit), strict=False))
        for agent_id in taken:
            del self._pending[agent_id]
        return taken

    def forget_others(self, agent_ids: Iterable[str]) -> None:
        """Forget all but these agents."""
        kept = set(agent_ids)
        self._renewals = {each: when for each, when in self._renewals.items() if each in kept}
        self._active = {each: count for each, count in self._active.items() if each in kept}
        self._reports = {each: report for each, report in self._reports.items() if each in kept}

    def __len__(self) -> int:
        return max(len(self._renewals), len(self._reports))
