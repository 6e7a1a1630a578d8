"""Looks for conflicts and takes open ones further: at each interval, and soon after whatever may have changed one.

A look waits for its own commit, so what happens meanwhile leads to one more look, and not to one each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_common.waiting import set_within
from tercio_conflicts import dispute_metrics
from tercio_conflicts.state.dispute_commands import Attend
from tercio_conflicts.state.disputes import Attended
from tercio_conflicts.state.modes import Mode

_log = structlog.get_logger(__name__)


class Attending:
    """The looks of one replica."""

    def __init__(self) -> None:
        self._wanted = asyncio.Event()
        self._intents = 0
        self._alone = False

    def committed(self, host: Host) -> None:
        """A commit has passed: look if somebody means to edit what others may mean to edit as well."""
        intents = host.machine.tables.holdings.by_mode[Mode.INTENT]
        if intents != self._intents:
            self._intents = intents
            self.look()

    def look(self) -> None:
        """Look soon: something happened that may have made or ended a conflict."""
        self._wanted.set()

    def effect(self, *, every_ms: int) -> Callable[[Host], Awaitable[None]]:
        """Return the effect that looks at least so often."""

        async def run(host: Host) -> None:
            try:
                while True:
                    changed = await self._attend(host)
                    _show(host)
                    if not changed:
                        await set_within(self._wanted, every_ms, clock=host.clock)
            finally:
                dispute_metrics.show((), decisions=0)

        return run

    async def _attend(self, host: Host) -> int:
        """Look once; return how many conflicts changed."""
        self._wanted.clear()
        try:
            proposal = host.propose(Attend(1) if self._alone else Attend(), call=EFFECT)
        except Refusal as refusal:
            # What does not fit into a record together fits alone. Else the replica is stopping, or the store is full.
            self._alone = refusal.reason == "REQUEST_TOO_LARGE" and not self._alone
            return int(self._alone)
        self._alone = False
        attended: Attended = proposal.reply
        await host.committed(proposal.seq)
        for name, error in attended.failed:
            dispute_metrics.FAILED_DETECTORS.labels(name).inc()
            _log.error("detector_failed", detector=name, error=error, effect="nothing ends that it might still see")
        return attended.changed


def _show(host: Host) -> None:
    tables = host.machine.tables.disputes
    dispute_metrics.show(tables.conflicts.values(), decisions=len(tables.decisions))
