"""A leader of scaling that does not notice its loss, over the shipped fence: that alone stops its write to a driver."""

from __future__ import annotations

from dataclasses import replace

from support.ground_driver import launch_scaling
from support.launchers.stale_ports import CappedClock, DeafElection
from tercio_common.composition import Ports


def stale(ports: Ports) -> Ports:
    """Take away everything but the fence."""
    return replace(ports, clock=CappedClock(ports.clock), election=DeafElection(ports.election))


if __name__ == "__main__":
    launch_scaling(stale)
