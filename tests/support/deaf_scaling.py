"""Starts the scaling service as a leader that does not notice its loss: what stops its scale is the fence alone.

Its clock stands still while the process does, its election tells nothing, an append that is refused is never answered,
and what its peers say of a later leader is not heard.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

from support.launchers.stale_ports import CappedClock, DeafElection
from tercio_common.composition import Ports, Service
from tercio_common.epochs import Epoch
from tercio_common.errors import FencedError
from tercio_common.journal.port import Journal
from tercio_common.lifecycle import main_of
from tercio_common.testing.faulty_journal import FaultyJournal
from tercio_scaling import app
from tercio_scaling.settings import ScalingProcessSettings


class SilentJournal(FaultyJournal):
    """Never answers an append that the fence refused."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._inner = journal

    async def append(self, number: int, value: bytes, *, epoch: Epoch) -> None:
        try:
            await self._inner.append(number, value, epoch=epoch)
        except FencedError:
            await asyncio.Event().wait()


def deaf(ports: Ports) -> Service:
    """Build the service on such ports."""
    service = app.build(
        replace(
            ports,
            clock=CappedClock(ports.clock),
            election=DeafElection(ports.election),
            journal=SilentJournal(ports.journal),
        )
    )
    service.host.outranked = not_heard  # type: ignore[method-assign]
    return service


def not_heard(known: Epoch) -> None:
    """Do nothing about a later leader."""


def launch() -> None:
    """Run it until a signal; does not return."""
    sys.exit(main_of(app.NAME, deaf, ScalingProcessSettings))


if __name__ == "__main__":
    launch()
