"""Usage: what holders say that they use of what they were granted.

It is kept while the allocation is held. Nobody is made to report: an allocation without reports is neither efficient
nor wasteful, and nothing is taken from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from tercio_common.machine.protocol import Decision, Moment
from tercio_common.machine.table import Table
from tercio_resources.state.commands import ReportUsage, UsageReport
from tercio_resources.state.events import UsageReported
from tercio_resources.state.holdings import Holdings
from tercio_resources.state.pools import PoolsByDimension, checked_unit
from tercio_resources.state.rows import AllocationRow, UsageRow, Used

IDLE_PER_MILLE: Final = 50
"""Next to nothing: what a process takes that only waits."""


class Efficiency(NamedTuple):
    """How much of a dimension is used of what is granted to holders that report."""

    dimension: str
    granted: int
    used: int

    @property
    def per_mille(self) -> int:
        """Return the part that is used, in thousandths."""
        return self.used * 1_000 // max(1, self.granted)


class UsageSums:
    """Index of the table of usage: sums by dimension, in which a holder uses at most what it was granted."""

    def __init__(self) -> None:
        self._granted: dict[str, int] = {}
        self._used: dict[str, int] = {}

    def changed(self, key: int, old: UsageRow | None, new: UsageRow | None) -> None:
        """See `Index`."""
        for row, sign in ((old, -1), (new, 1)):
            for dimension, granted, last, _ in row.used if row is not None else ():
                self._granted[dimension] = self._granted.get(dimension, 0) + sign * granted
                self._used[dimension] = self._used.get(dimension, 0) + sign * min(granted, last)
                if not self._granted[dimension]:
                    del self._granted[dimension], self._used[dimension]

    def efficiencies(self) -> Iterator[Efficiency]:
        """Give each dimension of which something is reported, in order."""
        for dimension, granted in sorted(self._granted.items()):
            yield Efficiency(dimension, granted, self._used[dimension])


class Unknown(NamedTuple):
    """What reports named that is not held: numbers of allocations, and owners."""

    numbers: tuple[int, ...] = ()
    owners: tuple[str, ...] = ()


def report(
    command: ReportUsage, allocations: Table[AllocationRow], holdings: Holdings, units: PoolsByDimension
) -> Decision:
    """Decide reports; the reply is `Unknown`.

    Raises:
        Refusal: UNIT_MISMATCH.
    """
    for each in command.reports:
        for amount in each.used:
            checked_unit(amount.dimension, amount.unit, units)
    latest = {each.owner or each.number: each for each in command.reports}
    named = {each.number: each for each in latest.values() if not each.owner and each.number in allocations}
    owned = {each.owner: _by_number(each, allocations, holdings) for each in latest.values() if each.owner}
    found = named | {number: each for reports in owned.values() for number, each in reports.items()}
    held = tuple(_without_units(each) for each in found.values())
    unknown = Unknown(
        tuple(each.number for each in latest.values() if not each.owner and each.number not in named),
        tuple(owner for owner, reports in owned.items() if not reports),
    )
    return Decision([UsageReported(held)] if held else (), unknown, creates_work=True)


def _by_number(given: UsageReport, allocations: Table[AllocationRow], holdings: Holdings) -> dict[int, UsageReport]:
    """Return an owner's report as those of its allocations: a dimension is of the first one that has it."""
    found: dict[int, UsageReport] = {}
    left = {amount.dimension: amount for amount in given.used}
    for number in holdings.of(given.owner):
        dimensions = [part.dimension for part in allocations[number].lot.parts if part.dimension in left]
        if dimensions:
            used = tuple(left.pop(dimension) for dimension in dimensions)
            found[number] = given._replace(number=number, used=used, owner="")
    return found


def reported(given: UsageReport, held: AllocationRow, before: UsageRow | None, at: Moment) -> UsageRow:
    """Return the row after a report. What was not granted is left out; what is not reported stays as it was."""
    known = {each.dimension: each for each in before.used} if before else {}
    now_used = {amount.dimension: amount.amount for amount in given.used}
    used = tuple(
        used_of(part.dimension, part.amount, now_used.get(part.dimension), known.get(part.dimension))
        for part in held.lot.parts
        if part.dimension in now_used or part.dimension in known
    )
    busy = any(each.last * 1_000 > each.granted * IDLE_PER_MILLE for each in used)
    return UsageRow(
        number=held.number,
        task_type=given.task_type or (before.task_type if before else held.lot.task_type),
        labels=given.labels or (before.labels if before else ()),
        used=used,
        reports=1 + (before.reports if before else 0),
        first_now=before.first_now if before else at.now,
        last_now=at.now,
        last_wall=at.wall,
        busy_now=at.now if busy or before is None else before.busy_now,
    )


def used_of(dimension: str, granted: int, now_used: int | None, before: Used | None) -> Used:
    """Return what is used of a dimension, after a report in which it may be missing."""
    last = before.last if now_used is None and before else now_used or 0
    return Used(dimension, granted, last, max(last, before.peak if before else 0))


def _without_units(given: UsageReport) -> UsageReport:
    return given._replace(used=tuple(amount._replace(unit="") for amount in given.used))


def reshaped(row: UsageRow, amounts: Mapping[str, int]) -> UsageRow:
    """Return the row of an allocation that has other amounts from now on."""
    return row._replace(used=tuple(each._replace(granted=amounts[each.dimension]) for each in row.used))
