"""Undoes what registrations did outside and no agent holds: reservations first, then clearances, until it succeeds.

A registration that is still being worked on is held back; that is known here and nowhere else, so a new leader undoes
whatever its predecessor left in the middle.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import structlog

from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_registry.ports import Outside
from tercio_registry.state.commands import CloseRegistrations

_RETRY_MS = 1_000
_log = structlog.get_logger(__name__)


class Undoing:
    """One replica's registrations with effects outside."""

    def __init__(self, outside: Outside) -> None:
        """Undo through these ports."""
        self._outside = outside
        self._held: set[str] = set()
        self._news = asyncio.Event()

    @contextlib.contextmanager
    def held(self, registration_id: str) -> Iterator[None]:
        """Keep the effect from undoing a registration while it is being worked on."""
        self._held.add(registration_id)
        try:
            yield
        finally:
            self._held.discard(registration_id)
            self._news.set()

    def wake(self, _committed: int) -> None:
        """Look again: something was recorded."""
        self._news.set()

    async def settle(self, host: Host, registration_id: str) -> bool:
        """Undo one registration now, unless an agent holds it; return False when the effect has to try again."""
        try:
            await self._undo(host, registration_id)
        except Exception as error:
            _log.warning("not_undone", registration=registration_id, error=str(error), effect="tries again")
            return False
        return True

    async def run(self, host: Host) -> None:
        """Undo whatever is due, for as long as this replica leads."""
        while True:
            self._news.clear()
            due = [each for each in host.machine.obligations.loose() if each not in self._held]
            undone = [await self.settle(host, each) for each in due]
            if not all(undone):
                await host.clock.sleep_ms(_RETRY_MS)
            elif not due:
                await self._news.wait()

    async def _undo(self, host: Host, registration_id: str) -> None:
        await host.committed(host.tip_seq)  # what is to be undone might otherwise yet become an agent's
        if registration_id not in host.machine.obligations.loose():
            return
        await self._outside.reservations.release(registration_id)
        await self._outside.clearance.revoke(registration_id)
        proposal = host.propose(CloseRegistrations((registration_id,)), call=EFFECT)
        await host.committed(proposal.seq)
