"""Starts the scaling service as a leader that does not notice its loss: what stops its scale is the fence alone."""

from __future__ import annotations

import sys
from dataclasses import replace

from support.launchers.stale_ports import CappedClock, DeafElection
from tercio_common.composition import Ports, Service
from tercio_common.lifecycle import main_of
from tercio_scaling import app
from tercio_scaling.settings import ScalingProcessSettings


def deaf(ports: Ports) -> Service:
    """Build the service on a clock that stands still with the process, and an election that tells nothing."""
    return app.build(replace(ports, clock=CappedClock(ports.clock), election=DeafElection(ports.election)))


def launch() -> None:
    """Run it until a signal; does not return."""
    sys.exit(main_of(app.NAME, deaf, ScalingProcessSettings))


if __name__ == "__main__":
    launch()
