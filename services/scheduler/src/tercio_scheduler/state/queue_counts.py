"""How much came and what became of it, by requirement: counted from what commits change, for as long as a leader leads.

Nothing here is stored. Counts only rise, so that whoever looks now and then misses nothing in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from tercio_scheduler.state.rows import Requirement, State, TaskRow
from tercio_scheduler.state.tables import POSITION_BITS

_MOST: Final = 10_000
"""Requirements that are counted; of more, those that were counted longest ago are forgotten."""


class QueueCount(NamedTuple):
    """Of one requirement; times are sums in ms.

    Attributes:
        accepted: tasks that were accepted.
        succeeded: tasks that succeeded.
        ran: for how long their last attempts ran.
        responded: how long it took from acceptance to success.
    """

    accepted: int = 0
    succeeded: int = 0
    ran: int = 0
    responded: int = 0


NOTHING_COUNTED: Final = QueueCount()
_ACCEPTED: Final = QueueCount(accepted=1)


class QueueCounts:
    """The counts of one leadership."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.by_requirement: dict[Requirement, QueueCount] = {}
        self.began: int | None = None
        """Since when it is counted, in ms of fleet time; None while it is not."""

    def count(self, rows: Iterable[TaskRow | None], *, seq: int) -> None:
        """Take in what one record changed: its number is part of every position that it gave."""
        for row in rows:
            if row is None:
                continue
            spec = row.spec
            if spec.order >> POSITION_BITS == seq:
                self._add(spec.template.requirement, _ACCEPTED)
            if row.state is State.SUCCEEDED and row.position >> POSITION_BITS == seq:
                took = max(0, row.entered.now - spec.accepted.now)
                self._add(spec.template.requirement, QueueCount(0, 1, row.run_micros // 1000, took))

    def _add(self, requirement: Requirement, more: QueueCount) -> None:
        before = self.by_requirement.pop(requirement, NOTHING_COUNTED)
        if len(self.by_requirement) >= _MOST:
            del self.by_requirement[next(iter(self.by_requirement))]
        self.by_requirement[requirement] = QueueCount(*map(sum, zip(before, more, strict=True)))
