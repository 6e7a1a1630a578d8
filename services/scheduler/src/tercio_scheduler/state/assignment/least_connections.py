"""The agent with the fewest attempts for its size comes first, so that work spreads over the fleet."""

from __future__ import annotations

from tercio_scheduler.state.assignment.protocol import Seat
from tercio_scheduler.state.rows import Requirement


class LeastConnections:
    """Ranks by attempts held ÷ concurrency."""

    def rank(self, seat: Seat, requirement: Requirement) -> float:
        return seat.held / seat.link.concurrency
