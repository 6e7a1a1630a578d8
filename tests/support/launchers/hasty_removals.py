"""Mutation of G11: whoever is chosen to leave leaves at once, finished or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support.ground_driver import launch_scaling
from tercio_scaling.state import victims
from tercio_scaling.state.rows import VictimPhase, VictimRow
from tercio_scaling.state.sightings import AgentSeen


def _at_once(victim: VictimRow, agents: Mapping[str, AgentSeen]) -> VictimRow:
    return victim._replace(phase=VictimPhase.LEAVING) if victim.holds else victim


if __name__ == "__main__":
    mutated: Any = victims
    mutated._finished = _at_once
    launch_scaling()
