"""Mutation: absolute deadlines follow the machine's wall clock, wherever it jumps."""

from __future__ import annotations

from typing import Any

from support.launchers.launch import launch
from tercio_common.machine.fleet_time import FleetTime


def _of_the_machine(time: FleetTime) -> int:
    return time._clock.wall_ms()


if __name__ == "__main__":
    mutated: Any = FleetTime
    mutated.wall = _of_the_machine
    launch()
