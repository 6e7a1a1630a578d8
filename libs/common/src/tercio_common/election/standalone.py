"""Elections between candidates of one process, with leases that end like etcd's.

`tercio dev` has one candidate a service; tests put several into one process to model replicas. Who holds the role is
known in memory only; the terms are numbered by the store, which for a file keeps the number, so that it rises at each
start.

The end of a lease is noticed by whoever looks: a candidate, an observer, or the holder at its next renewal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from tercio_common.clock import Clock
from tercio_common.election.port import Leader, Leadership
from tercio_common.epochs import Epoch
from tercio_common.errors import LeadershipLostError, StoreError

DEFAULT_TTL_MS = 10_000
"""The TTL of `LeaseSettings`."""


class Terms(Protocol):
    """Numbers the terms of every service and knows which have not ended; journals guard their writes with it."""

    async def begin(self, service: str) -> Epoch:
        """Begin a term, higher than all before; the service's earlier term ends with it."""
        ...

    async def end(self, service: str, epoch: Epoch) -> None:
        """End the term, if it is the present one."""
        ...

    async def leads(self, service: str, epoch: Epoch) -> bool:
        """Tell whether the term has not ended."""
        ...

    async def generation(self) -> int:
        """See `Election`."""
        ...

    async def raise_generation(self) -> int:
        """See `Election`."""
        ...


@dataclass(frozen=True, slots=True)
class _Holder:
    leader: Leader
    ends_boot_ms: int


class Role:
    """Who holds one service's role; shared by its candidates."""

    def __init__(self) -> None:
        self.taking = asyncio.Lock()
        self._holder: _Holder | None = None
        self._changes: set[asyncio.Event] = set()

    def holder(self, now: int) -> _Holder | None:
        """Return who holds the role at that time of the boot-time clock."""
        return self._holder if self._holder is not None and now < self._holder.ends_boot_ms else None

    def set(self, leader: Leader, *, ends_boot_ms: int) -> None:
        """Give the role to `leader`, or extend its lease."""
        changed = self._holder is None or self._holder.leader != leader
        self._holder = _Holder(leader, ends_boot_ms)
        if changed:
            self._notify()

    def clear(self, epoch: Epoch) -> None:
        """Take the role from the epoch's leader, if it still has it."""
        if self._holder is not None and self._holder.leader.epoch == epoch:
            self._holder = None
            self._notify()

    async def changed(self, clock: Clock) -> None:
        """Wait until the holder changes or its lease would end."""
        event = asyncio.Event()
        self._changes.add(event)
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(event.wait())]
        if (holder := self.holder(clock.boot_ms())) is not None:
            waits.append(asyncio.ensure_future(_sleep(clock, holder.ends_boot_ms - clock.boot_ms())))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._changes.discard(event)
            for wait in waits:
                wait.cancel()

    def _notify(self) -> None:
        for event in self._changes:
            event.set()


class StandaloneElection:
    """See `tercio_common.election.port.Election`; one candidate."""

    def __init__(self, service: str, *, role: Role, terms: Terms, clock: Clock, ttl_ms: int = DEFAULT_TTL_MS) -> None:
        self._service = service
        self._role = role
        self._terms = terms
        self._clock = clock
        self._ttl_ms = ttl_ms

    async def campaign(self, address: str) -> Leadership:
        while True:
            async with self._role.taking:
                if self._role.holder(self._clock.boot_ms()) is None:
                    since = self._clock.boot_ms()
                    epoch = await self._terms.begin(self._service)
                    self._role.set(Leader(epoch, address), ends_boot_ms=since + self._ttl_ms)
                    return Leadership(epoch, since, epoch.revision)
            await self._role.changed(self._clock)

    async def renew(self, leadership: Leadership) -> None:
        now = self._clock.boot_ms()
        holder = self._role.holder(now)
        if holder is None or holder.leader.epoch != leadership.epoch:
            await self.resign(leadership)
            raise LeadershipLostError(f"the lease of epoch {leadership.epoch} has ended")
        if not await self._terms.leads(self._service, leadership.epoch):
            self._role.clear(leadership.epoch)
            raise LeadershipLostError(f"the term of epoch {leadership.epoch} was ended")
        self._role.set(holder.leader, ends_boot_ms=now + self._ttl_ms)

    async def resign(self, leadership: Leadership) -> None:
        # First the term, then the role: a successor's term must not begin while ours could still write.
        with contextlib.suppress(StoreError):
            await self._terms.end(self._service, leadership.epoch)
        self._role.clear(leadership.epoch)

    async def observe(self) -> AsyncIterator[Leader | None]:
        seen: list[Leader | None] = []
        while True:
            holder = self._role.holder(self._clock.boot_ms())
            leader = holder.leader if holder else None
            if seen != [leader]:
                seen = [leader]
                yield leader
            else:
                await self._role.changed(self._clock)

    async def generation(self) -> int:
        return await self._terms.generation()

    async def raise_generation(self) -> int:
        return await self._terms.raise_generation()

    async def close(self) -> None:
        """Do nothing: the store belongs to whoever made it."""


async def _sleep(clock: Clock, duration: int) -> None:
    await clock.sleep_ms(duration)
