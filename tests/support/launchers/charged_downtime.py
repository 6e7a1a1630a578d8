"""Mutation of G7: agents pay for the time that nobody listened to them.

Two mechanisms spare them, so both are taken away: fleet time goes on while nobody leads, and leases are counted from
the last renewal that is known, not from when the present leader began to listen.
"""

from __future__ import annotations

from typing import Any

from support.launchers.launch import launch_registry
from tercio_common.clock import Clock
from tercio_common.machine import term
from tercio_common.machine.fleet_time import FleetTime
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.session import Session


class _TimeThatGoesOn(FleetTime):
    """Fleet time that counts the time since the last record too."""

    def __init__(self, *, clock: Clock, now: int, wall: int) -> None:
        super().__init__(clock=clock, now=now + max(0, clock.wall_ms() - wall) if wall else now, wall=wall)


def _count_from_the_last_renewal(session: Session, row: AgentRow, now: int) -> int:
    return max(row.enrolled_now, session.last_renewal(row.agent_id) or 0)


if __name__ == "__main__":
    mutated: Any = Session
    mutated.lease_start = _count_from_the_last_renewal
    mutated = term
    mutated.FleetTime = _TimeThatGoesOn
    launch_registry()
