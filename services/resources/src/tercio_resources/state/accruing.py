"""What is held costs more by the millisecond: sums over the allocations, so that nobody looks at each of them.

Cost is linear in time: the sum of the rates times now, less the sum of each rate times its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable

from tercio_common.leasing.timers import Timers
from tercio_resources.state.cost_rows import CostRow, Payer
from tercio_resources.state.rows import AllocationRow

Key = tuple[int, str]
_TENANT, _OWNER, _TASK_TYPE = map(int, (Payer.TENANT, Payer.OWNER, Payer.TASK_TYPE))


def payers(row: AllocationRow) -> list[Key]:
    """Return for whom an allocation counts."""
    found = [(_TENANT, row.lot.tenant), (_OWNER, row.owner)]
    return [*found, (_TASK_TYPE, row.lot.task_type)] if row.lot.task_type else found


class Accruing:
    """Index of the table of allocations."""

    def __init__(self) -> None:
        self._sums: dict[Key, tuple[int, int]] = {}

    def changed(self, key: int, old: AllocationRow | None, new: AllocationRow | None) -> None:
        """See `Index`."""
        for row, sign in ((old, -1), (new, 1)):
            if row is None or not row.lot.rate:
                continue
            rate = sign * row.lot.rate
            for payer in payers(row):
                rates, begun = self._sums.get(payer, (0, 0))
                self._sums[payer] = rates + rate, begun + rate * row.charged_now
                if self._sums[payer] == (0, 0):
                    del self._sums[payer]

    def parts(self, payer: Key, now: int) -> int:
        """Return what is held has cost since it was charged last."""
        rates, begun = self._sums.get(payer, (0, 0))
        return rates * now - begun

    def rate(self, payer: Key) -> int:
        """Return what is held costs an hour, in millionths of the currency."""
        return self._sums.get(payer, (0, 0))[0]

    def held(self) -> Iterable[Key]:
        """Return who holds something that costs."""
        return self._sums.keys()


class Oldest(Timers[tuple[int, str]]):
    """Which owners, or which others, were charged longest ago; an index of the table of costs."""

    def __init__(self, *, owners: bool) -> None:
        super().__init__("cost of")
        self._owners = owners

    def changed(self, key: Key, old: CostRow | None, new: CostRow | None) -> None:
        """See `Index`."""
        if (key[0] == _OWNER) is not self._owners:
            return
        if new is None:
            self.drop(key)
        else:
            self.set(key, new.charged_now)
