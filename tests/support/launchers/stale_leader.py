"""A leader that does not notice its loss, over the shipped journal: the fence alone stops it."""

from __future__ import annotations

from dataclasses import replace

from support.launchers.launch import launch
from support.launchers.stale_ports import CappedClock, DeafElection, GatedJournal
from tercio_common.composition import Ports


def stale(ports: Ports) -> Ports:
    """Take away everything but the fence."""
    return replace(
        ports,
        clock=CappedClock(ports.clock),
        election=DeafElection(ports.election),
        journal=GatedJournal(ports.journal),
    )


if __name__ == "__main__":
    launch(stale)
