"""Keeping a lease, and giving it up before it can end.

The lease is counted on the boot-time clock from before each renewal was sent, so the store ends it later than we do.
A process that was stopped finds at its first look that the time is over: `may_release` compares clocks and waits for
nobody.

A renewal whose answer comes after the deadline counts for nothing. So `may_release` never turns true again once it
was false.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields

from tercio_common.clock import Clock
from tercio_common.election.port import Election, Leadership
from tercio_common.errors import LeadershipLostError, SettingsError, StoreUnavailableError

_RETRY_MS = 50
"""A failed renewal is repeated at once, but a connection refused within a millisecond must not fill a core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSettings:
    """A leader's lease, in milliseconds.

    Attributes:
        ttl_ms: how long the store keeps the role for a leader that is silent; a failover takes about that long.
        renew_interval_ms: time from one renewal to the next.
        rpc_timeout_ms: time for one renewal.
        margin_ms: the leader stops that long before the lease ends, for the drift between two clocks.
    """

    ttl_ms: int = 10_000
    renew_interval_ms: int = 3000
    rpc_timeout_ms: int = 2000
    margin_ms: int = 2000

    def check(self) -> None:
        """Refuse settings with which two lost renewals would cost the lease.

        Raises:
            SettingsError: names the fields and the rule.
        """
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise SettingsError(f"{field.name} is {getattr(self, field.name)}; it must be positive")
        needed = self.renew_interval_ms + 2 * self.rpc_timeout_ms
        usable = self.ttl_ms - self.margin_ms
        if needed > usable:
            raise SettingsError(
                f"renew_interval_ms + 2 × rpc_timeout_ms is {needed}, over ttl_ms - margin_ms, {usable}: "
                "lengthen ttl_ms, or renew more often"
            )


class Renewal:
    """Renews one leadership."""

    def __init__(self, election: Election, leadership: Leadership, clock: Clock, settings: LeaseSettings) -> None:
        self._election = election
        self._leadership = leadership
        self._clock = clock
        self._settings = settings
        self._sent_boot_ms = leadership.since_boot_ms
        self._deadline_boot_ms = self._deadline(leadership.since_boot_ms)

    @property
    def deadline_boot_ms(self) -> int:
        """From this time of the boot-time clock on, nothing may be released."""
        return self._deadline_boot_ms

    def may_release(self) -> bool:
        """Tell whether the lease certainly has not ended."""
        return self._clock.boot_ms() < self._deadline_boot_ms

    async def run(self) -> None:
        """Renew until the lease is lost or must be given up.

        Cancelling it leaves the lease as it is: what it covers may be released until the deadline.

        Raises:
            LeadershipLostError: always, in the end; `may_release` is false from then on.
        """
        tasks = {asyncio.create_task(self._renew()), asyncio.create_task(self._until_deadline())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._deadline_boot_ms = min(self._deadline_boot_ms, self._clock.boot_ms())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _renew(self) -> None:
        while True:
            await self._sleep_until(self._sent_boot_ms + self._settings.renew_interval_ms)
            while not await self._renewed():
                await self._clock.sleep_ms(_RETRY_MS)

    async def _renewed(self) -> bool:
        sent = self._clock.boot_ms()
        try:
            await self._election.renew(self._leadership)
        except StoreUnavailableError:
            return False
        if not self.may_release():
            raise self._given_up()
        self._sent_boot_ms = sent
        self._deadline_boot_ms = self._deadline(sent)
        return True

    async def _until_deadline(self) -> None:
        while self.may_release():
            await self._sleep_until(self._deadline_boot_ms)
        raise self._given_up()

    async def _sleep_until(self, boot_ms: int) -> None:
        remaining = boot_ms - self._clock.boot_ms()
        if remaining > 0:
            await self._clock.sleep_ms(remaining)

    def _given_up(self) -> LeadershipLostError:
        return LeadershipLostError(f"epoch {self._leadership.epoch} was not renewed in time and is given up")

    def _deadline(self, sent: int) -> int:
        return sent + self._settings.ttl_ms - self._settings.margin_ms
