"""What reservations keep of each pool: an index of their table, and when each is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tercio_common.leasing.timers import Timers
from tercio_resources.state.reservation_rows import ReservationRow
from tercio_resources.state.rules import Rules

_NOTHING: Mapping[int, ReservationRow] = {}


class Reserved(Timers[int]):
    """See above."""

    def __init__(self, rules: Rules) -> None:
        super().__init__("reservation")
        self._rules = rules
        self._by_pool: dict[str, dict[int, ReservationRow]] = {}
        self.claims: dict[int, int] = {}
        """The reservation of each allocation that was granted for one."""
        self.returned = 0
        """Rises whenever room is kept no longer."""

    def changed(self, key: int, old: ReservationRow | None, new: ReservationRow | None) -> None:
        """See `Index`."""
        if old is not None:
            self._leave(key, old)
        if new is None:
            self.returned += 1
            self.drop(key)
            return
        for part in new.lot.parts:
            self._by_pool.setdefault(part.pool_id, {})[key] = new
        if new.allocation:
            self.claims[new.allocation] = key
        if new.due:
            self.set(key, new.due)
        else:
            self.drop(key)

    def of(self, pool_id: str) -> Iterable[ReservationRow]:
        """Return the reservations of a pool."""
        return self._by_pool.get(pool_id, _NOTHING).values()

    def withheld(self, pool_id: str, wall: int) -> int:
        """Return what is granted to nobody at that wall time: from a lead before the start until it is claimed."""
        lead = self._rules.reservation_lead
        return self._unclaimed(pool_id, wall, lead) if pool_id in self._by_pool else 0

    def started(self, pool_id: str, wall: int) -> int:
        """Return what may be claimed at that wall time, and was not."""
        return self._unclaimed(pool_id, wall, 0)

    def peak(self, pool_id: str, start: int, end: int) -> int:
        """Return the most that is reserved at once within a window."""
        changes: list[tuple[int, int]] = []
        for row in self.of(pool_id):
            if row.window.start < end and row.window.end > start:
                amount = amount_of(row, pool_id)
                changes += [(row.window.start, amount), (row.window.end, -amount)]
        reserved = most = 0
        for _, change in sorted(changes):  # of one moment what ends comes first
            reserved += change
            most = max(most, reserved)
        return most

    def _unclaimed(self, pool_id: str, wall: int, lead: int) -> int:
        return sum(
            amount_of(row, pool_id)
            for row in self.of(pool_id)
            if not row.allocation and row.window.start - lead <= wall < row.window.claim_by
        )

    def _leave(self, key: int, row: ReservationRow) -> None:
        for part in row.lot.parts:
            of_pool = self._by_pool[part.pool_id]
            del of_pool[key]
            if not of_pool:
                del self._by_pool[part.pool_id]
        self.claims.pop(row.allocation, None)


def amount_of(row: ReservationRow, pool_id: str) -> int:
    """Return how much of a pool is reserved."""
    return sum(part.amount for part in row.lot.parts if part.pool_id == pool_id)
