"""Mutation of G3: a leader of scaling that does not notice its loss, and a driver whose writes have no fence."""

from __future__ import annotations

from typing import Any

from support.ground_driver import GroundDriver, launch_scaling
from support.launchers.stale_scaler import stale

if __name__ == "__main__":
    mutated: Any = GroundDriver
    mutated.fenced = False
    launch_scaling(stale)
