"""Allocations that ended: who held what, from when until when, and how it ended.

They are kept for a while and up to a number, so that people can see what became of a grant; who changed what at all is
told by the audit trail. A busy fleet ends thousands a second, so that number bounds how far back it goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tercio_common.leasing.timers import Timers
from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table
from tercio_resources.state.rows import AllocationRow, Cause, PastAllocationRow

MOST_PAST: Final = 10_000
"""Allocations that ended and are kept: about 3 MB in a snapshot."""
_EVER: Final = 2**63


class Past(Timers[int]):
    """When each is forgotten; an index of their table."""

    def __init__(self, *, period: int) -> None:
        """Keep each for `period` ms."""
        super().__init__("past allocation")
        self._period = period

    def changed(self, key: int, old: PastAllocationRow | None, new: PastAllocationRow | None) -> None:
        """See `Index`."""
        if new is None:
            self.drop(key)
        else:
            self.set(key, new.ended_now + self._period)


def note(
    rows: Iterable[AllocationRow],
    cause: Cause,
    agents: Mapping[str, str],
    at: Moment,
    *,
    kept: Table[PastAllocationRow],
    past: Past,
) -> None:
    """Keep what ended, each charged up to now; those that ended first make room."""
    for row in rows:
        if len(kept) >= MOST_PAST and (oldest := past.pop(_EVER)) is not None:
            kept.delete(oldest)
        kept.put(
            PastAllocationRow(
                row.number,
                row.owner,
                row.lot,
                agents.get(row.owner, ""),
                cause,
                row.granted_wall,
                at.wall,
                at.now,
                row.charged,
            )
        )


def forget(numbers: Iterable[int], kept: Table[PastAllocationRow]) -> None:
    """Forget those that still are kept: another version may keep fewer."""
    for number in numbers:
        if number in kept:
            kept.delete(number)
