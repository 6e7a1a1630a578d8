"""Whom one leader has heard: session state, lost with the leadership.

Renewals are never journaled. A new leader has heard nobody, and a process that was stopped heard nobody meanwhile; so
leases count from when the leader began to listen, if that is later than the last renewal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

SILENCE_MS: Final = 10_000
"""A leader that did not listen for this long begins to listen anew: ten of the pulses of an effect that runs."""


class Listening:
    """Last renewals by owner, in ms of fleet time. The edge writes it; `decide` only reads."""

    def __init__(self) -> None:
        self._renewals: dict[str, int] = {}
        self._began = -1
        self._heard = -1

    def pulse(self, now: int) -> None:
        """Note that the leader is listening. After a gap it begins anew."""
        self._began, self._heard = self.listening_since(now), now

    def listening_since(self, now: int) -> int:
        """Return since when the leader has listened without a gap; `now` if it has not."""
        if self._heard < 0 or now - self._heard > SILENCE_MS:
            return now
        return self._began

    def renew(self, owners: Iterable[str], now: int) -> None:
        """Note that these owners are alive."""
        self._renewals.update(dict.fromkeys(owners, now))

    def lease_start(self, owner: str, *, granted: int, now: int) -> int:
        """Return from when the lease of what was granted then is counted: never from before this leader listened."""
        return max(self.listening_since(now), granted, self._renewals.get(owner, 0))

    def forget_others(self, owners: Collection[str]) -> None:
        """Forget all but these owners."""
        if len(self._renewals) > 2 * len(owners) + 1_024:
            self._renewals = {each: when for each, when in self._renewals.items() if each in owners}
