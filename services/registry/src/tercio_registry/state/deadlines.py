"""One deadline for each agent: the next time at which its row may change by itself.

For an active agent it is a lower bound, because renewals do not move it: when it comes up, the tick looks at the last
renewal and sets it again. So a heartbeat costs nothing here, and an agent costs one look an interval.
"""

from __future__ import annotations

import heapq
from collections.abc import Set

from tercio_registry.state.agents import AgentRow
from tercio_registry.state.rules import Rules


class Deadlines:
    """A heap over the table of agents, and an index of it. Replaced entries are skipped when they come up."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        self._popped = ""

    def changed(self, key: str, old: AgentRow | None, new: AgentRow | None) -> None:
        """See `Index`."""
        if new is None:
            self._due.pop(key, None)
        elif old is None or old.membership is not new.membership:
            self.set(key, self._first(new))
        elif new.leave_by and new.leave_by != old.leave_by:
            self.set(key, min(self._due.get(key, new.leave_by), new.leave_by))  # it may have been set aside

    def set(self, agent_id: str, due: int) -> None:
        """Look at the agent again at `due`, rounded up."""
        step = self._rules.granularity
        due = -(-due // step) * step
        self._due[agent_id] = due
        heapq.heappush(self._heap, (due, agent_id))
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = [(when, each) for each, when in self._due.items()]
            heapq.heapify(self._heap)

    def next_due(self) -> int | None:
        """Return the earliest deadline."""
        self._skip()
        return self._heap[0][0] if self._heap else None

    def pop(self, now: int) -> str | None:
        """Remove the earliest deadline up to `now` and return its agent, which the caller sets again or changes."""
        self._skip()
        if not self._heap or self._heap[0][0] > now:
            return None
        _, agent_id = heapq.heappop(self._heap)
        del self._due[agent_id]
        self._popped = agent_id
        return agent_id

    def set_aside_due(self) -> str:
        """Take the deadline out of the way that was looked at last; return its name."""
        self._due.pop(self._popped, None)
        return f"the deadline of agent {self._popped!r}"

    def agents(self) -> Set[str]:
        """Return the agents that have a deadline."""
        return self._due.keys()

    def _first(self, row: AgentRow) -> int:
        if not row.active:
            return row.ended_now + self._rules.retention
        return row.enrolled_now + self._rules.degraded_after

    def _skip(self) -> None:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
