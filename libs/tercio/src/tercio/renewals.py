"""Leases of one client: renewed together in the background, and given up by the holder before they can end.

A lease counts from before it was asked for or its renewal was sent. What nobody renewed in time is lost a margin
before its end, by this process's own clock, whether or not the service can be reached: by then whoever works under it
must have stopped. A process that is itself stopped finds its leases lost as soon as it runs again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from tercio.rpc.errors import CallError

_RENEWALS_A_TTL: Final = 3
_PAUSE_S: Final = 0.1
"""After a renewal that failed at once."""
_MOST_MARGIN_S: Final = 5.0
_MARGIN: Final = 0.2
"""Of the lease, up to the most: for what works under it to end."""


def margin_s(lease_s: float) -> float:
    """Return how long before its end a lease is given up."""
    return min(_MOST_MARGIN_S, _MARGIN * lease_s)


class Lease:
    """What an owner holds for a time.

    Attributes:
        owner: who holds.
        count: of what it holds under it.
        ttl_s: how long it lasts from a renewal on.
        lost: set when nothing may be done under it any more.
    """

    def __init__(self, owner: str, *, ttl_s: float, since: float, count: int) -> None:
        """Begin a lease that was asked for at that moment of the monotonic clock."""
        self.owner = owner
        self.count = count
        self.ttl_s = ttl_s
        self.lost = asyncio.Event()
        self._since = since
        self._limit = self._limit_given_up = float("inf")
        self._timer: asyncio.TimerHandle | None = None

    @property
    def due(self) -> float:
        """When it is to be renewed."""
        return self._since + self.ttl_s / _RENEWALS_A_TTL

    def confirm(self, since: float) -> None:
        """Count from that moment on, unless it is lost already."""
        if not self.lost.is_set():
            self._since = max(self._since, since)
            self._watch()

    @property
    def left_s(self) -> float:
        """How long until somebody else may have what is held; 0 when it is not known."""
        return max(0.0, min(self._limit, self._since + self.ttl_s) - time.monotonic())

    def limit(self, left_s: float) -> None:
        """End it that soon, however it is renewed; it is given up a margin before."""
        if not self.lost.is_set():
            self._limit = time.monotonic() + left_s
            self._limit_given_up = self._limit - margin_s(left_s)
            self._watch()

    def lose(self) -> None:
        """Give it up, for good."""
        self.lost.set()
        self.end()

    def end(self) -> None:
        """Stop looking at the clock."""
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self) -> None:
        self.end()
        given_up = min(self._limit_given_up, self._since + self.ttl_s - margin_s(self.ttl_s))
        left_s = given_up - time.monotonic()
        if left_s <= 0:
            self.lose()
        else:
            self._timer = asyncio.get_running_loop().call_later(left_s, self.lose)


Renew = Callable[[Mapping[str, int], float], Awaitable[Collection[str]]]
"""Renews all that these owners hold, so many each, within that many seconds; returns the owners that hold less."""


class Renewals:
    """Renews all leases of a client with one call at a time, as long as there are any."""

    def __init__(self, renew: Renew) -> None:
        """Renew by that call."""
        self._renew = renew
        self._leases: set[Lease] = set()
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def begin(self, owner: str, *, ttl_s: float, since: float, count: int = 1) -> Lease:
        """Keep a lease from now on. It may be lost already, when the answer took too long."""
        lease = Lease(owner, ttl_s=ttl_s, since=since, count=count)
        lease.confirm(since)
        self._leases.add(lease)
        self._changed.set()
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return lease

    async def end(self, lease: Lease) -> None:
        """Renew it no longer."""
        lease.end()
        self._leases.discard(lease)
        if not self._leases and self._running is not None:
            running, self._running = self._running, None
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            alive = [lease for lease in self._leases if not lease.lost.is_set()]
            wait_s = min((lease.due for lease in alive), default=float("inf")) - time.monotonic()
            if wait_s <= 0:
                await self._renew_all(alive)
            else:
                await self._pause(wait_s)

    async def _renew_all(self, alive: list[Lease]) -> None:
        """Renew all, not only those that are due: that costs no call more."""
        sent = time.monotonic()
        timeout_s = min(lease.ttl_s for lease in alive) / _RENEWALS_A_TTL
        owners: Counter[str] = Counter()
        for lease in alive:
            owners[lease.owner] += lease.count
        try:
            unknown = await self._renew(owners, timeout_s)
        except CallError:
            await asyncio.sleep(_PAUSE_S)
            return
        for lease in alive:
            if lease.owner in unknown:
                lease.lose()
            else:
                lease.confirm(sent)

    async def _pause(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s if wait_s < float("inf") else None):
                await self._changed.wait()
        except TimeoutError:
            return
