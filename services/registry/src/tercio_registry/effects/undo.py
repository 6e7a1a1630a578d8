"""Undoes what registrations did outside and no agent holds, reservations and clearances each, until both succeed.

A registration that is still being worked on is held back; that is known here and nowhere else, so a new leader undoes
whatever its predecessor left in the middle.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator
from typing import NamedTuple

import structlog

from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_registry.ports import Outside
from tercio_registry.state.commands import CloseRegistrations

_RETRY_MS = 1_000
_AT_ONCE = 32
"""Registrations that are undone at the same time: when a rack dies, its agents' resources are free within seconds."""
_log = structlog.get_logger(__name__)


class Undone(NamedTuple):
    """Which parts of a registration are undone; what an agent holds counts as such."""

    reservation: bool = True
    clearance: bool = True


class Undoing:
    """One replica's registrations with effects outside."""

    def __init__(self, outside: Outside) -> None:
        """Undo through these ports."""
        self.outside = outside
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

    async def settle(self, host: Host, registration_id: str) -> Undone:
        """Undo one registration now, unless an agent holds it; the effect tries again what is not undone by then."""
        obligations = host.machine.obligations
        keeps = obligations.is_handed_on(registration_id)
        try:
            await host.committed(host.tip_seq)  # what is to be undone might otherwise yet become an agent's
            if registration_id not in obligations.loose():
                return Undone()
            if obligations.is_handed_on(registration_id) is not keeps:  # by a record that need not be committed yet
                return Undone(False, False)
            undone = Undone(
                keeps or await _succeeds(self.outside.reservations.release(registration_id), registration_id),
                await _succeeds(self.outside.clearance.revoke(registration_id), registration_id),
            )
            if all(undone):
                proposal = host.propose(CloseRegistrations((registration_id,), keeps), call=EFFECT)
                await host.committed(proposal.seq)
        except Refusal as refusal:
            _log.info("not_undone", registration=registration_id, reason=refusal.reason, effect="tries again")
            return Undone(False, False)
        return undone

    async def run(self, host: Host) -> None:
        """Undo whatever is due, for as long as this replica leads."""
        while True:
            self._news.clear()
            due = [each for each in host.machine.obligations.loose() if each not in self._held]
            undone: list[Undone] = []
            # All of them in each round: those that cannot be undone now keep nobody else from it.
            for first in range(0, len(due), _AT_ONCE):
                undone += await asyncio.gather(*(self.settle(host, each) for each in due[first : first + _AT_ONCE]))
            if not all(map(all, undone)):
                await host.clock.sleep_ms(_RETRY_MS)
            elif not due:
                await self._news.wait()


async def _succeeds(undoing: Awaitable[None], registration_id: str) -> bool:
    try:
        await undoing
    except Exception as error:
        _log.warning("not_undone", registration=registration_id, error=str(error), effect="tries again")
        return False
    return True
