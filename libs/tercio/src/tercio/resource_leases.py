"""Ends attempts that hold resources before somebody else may hold the same.

Such an attempt has a lease of its own, which the scheduler confirms only while it can renew what the attempt holds. The
lease counts from before the confirmed renewal was sent. What the scheduler does not confirm in time is ended here, a
margin before the lease, whether or not the scheduler can be reached.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.attempts import Attempt, AttemptKey, Stage, Stop
from tercio.renewals import margin_s


class _Runners(Protocol):
    def stop(self, attempt: Attempt, why: Stop) -> None:
        """Ask an attempt to stop."""

    def give_back(self, attempt: Attempt) -> None:
        """Return an attempt if it was not started."""


class ResourceLeases:
    """The leases of one agent."""

    def __init__(self, runners: _Runners) -> None:
        """End attempts of these runners."""
        self._runners = runners
        self._lease_s = 0.0
        self._held: dict[AttemptKey, tuple[Attempt, float]] = {}
        self._sent: dict[int, float] = {}
        self._number = 0
        self._confirmed = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def sent(self) -> int:
        """Note that a renewal is about to be sent; return its number, 0 when nothing here is to be renewed."""
        if not self._held:
            return 0
        self._number += 1
        self._sent[self._number] = time.monotonic()
        return self._number

    def obey(self, response: work_pb2.WorkResponse) -> None:
        """Take the lease and the confirmation that a response may bring."""
        if response.resource_lease_ms:
            self._lease_s = response.resource_lease_ms / 1000
        if number := response.confirmed_renewal:
            self._confirmed = max(self._confirmed, self._sent.get(number, 0.0))
            self._sent = {each: when for each, when in self._sent.items() if each > number}
            self._look_later()

    def hold(self, attempts: list[Attempt]) -> bool:
        """Begin the leases of those that hold resources; return whether there were any, which must be renewed."""
        now = time.monotonic()
        fresh = {attempt.key: (attempt, now) for attempt in attempts if attempt.has_resources}
        if not fresh:
            return False
        self._held.update(fresh)
        self._look_later()
        return True

    def close(self) -> None:
        """Look at nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_later(self) -> None:
        self.close()
        self._held = {key: held for key, held in self._held.items() if held[0].stage is not Stage.ENDED}
        if self._held and self._lease_s:
            first = min(self._end_of(began) for _, began in self._held.values())
            wait_s = max(0.0, first - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._end_expired)

    def _end_expired(self) -> None:
        now = time.monotonic()
        for key, (attempt, began) in list(self._held.items()):
            if self._end_of(began) <= now:
                del self._held[key]
                self._runners.give_back(attempt)
                self._runners.stop(attempt, Stop.LEASE_ENDED)
        self._look_later()

    def _end_of(self, began: float) -> float:
        return max(began, self._confirmed) + self._lease_s - margin_s(self._lease_s)
