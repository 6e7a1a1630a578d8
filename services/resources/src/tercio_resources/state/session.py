"""What one leader has heard and who waits at it: session state, lost with the leadership.

Renewals are never journaled. A new leader has heard nobody, and a process that was stopped heard nobody meanwhile; so
leases count from when the leader began to listen, if that is later than the last renewal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tercio_resources.state.demands import Demands
from tercio_resources.state.rows import AllocationRow
from tercio_resources.state.rules import Rules
from tercio_resources.state.waiting import Waiting


class Session:
    """Last renewals by owner, in ms of fleet time. The edge writes it; `decide` only reads."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.waiting = Waiting(most=rules.max_waiting)
        self.demands = Demands()
        self._renewals: dict[str, int] = {}
        self._began = -1
        self._heard = -1

    def pulse(self, now: int) -> None:
        """Note that the leader is listening. After a gap it begins anew."""
        self._began, self._heard = self.listening_since(now), now

    def listening_since(self, now: int) -> int:
        """Return since when the leader has listened without a gap; `now` if it has not."""
        if self._heard < 0 or now - self._heard > self.rules.silence:
            return now
        return self._began

    def renew(self, owners: Iterable[str], now: int) -> None:
        """Note that these owners are alive."""
        self._renewals.update(dict.fromkeys(owners, now))

    def lease_start(self, row: AllocationRow, now: int) -> int:
        """Return from when an allocation's lease is counted: never from before this leader listened."""
        return max(self.listening_since(now), row.granted_now, self._renewals.get(row.owner, 0))

    def lease_end(self, row: AllocationRow, now: int) -> int:
        """Return when an allocation is released unless it is renewed: its lease's end, and the grace."""
        return self.lease_start(row, now) + row.lot.ttl + self.rules.grace

    def forget_others(self, owners: Collection[str]) -> None:
        """Forget all but these owners."""
        if len(self._renewals) > 2 * len(owners) + 1_024:
            self._renewals = {each: when for each, when in self._renewals.items() if each in owners}
