"""Revocation: room is made for an emergency from lower priorities, and for who waits from what others borrowed.

A holder is asked first, and has a grace to release by itself. What is asked back already counts, so that one need
takes no more victims than it must.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tercio_common.machine.protocol import Moment
from tercio_resources.state.commands import Allocate
from tercio_resources.state.events import RevocationsRequested
from tercio_resources.state.quotas import limit_of
from tercio_resources.state.rows import MOST_ITEMS, AllocationRow, Gap, Shortage, Spec
from tercio_resources.state.rules import Rules
from tercio_resources.state.tables import ResourceTables


def make_room(
    shortages: dict[int, Shortage],
    command: Allocate,
    at: Moment,
    *,
    tables: ResourceTables,
    rules: Rules,
    waits: bool,
) -> tuple[dict[int, Shortage], list[RevocationsRequested]]:
    """Choose victims for the items that are short of what a pool has; return the shortages with their number."""
    room = _Room(tables)
    answered = dict(shortages)
    for item, shortage in shortages.items():
        spec = command.specs[command.indexes[item]] if command.indexes else command.specs[0]
        if shortage.reason != "INSUFFICIENT_RESOURCES" or any(gap.bound.kind != "pool" for gap in shortage.gaps):
            continue  # room in the pool would not help
        victims = room.victims(spec, shortage.gaps, emergency=command.emergency, waits=waits)
        answered[item] = shortage._replace(revoking=victims)
    if not room.chosen:
        return answered, []
    return answered, [RevocationsRequested(tuple(room.chosen)[:MOST_ITEMS], at.now + rules.grace)]


class _Room:
    """Victims that were chosen for earlier items, and what they will give back."""

    def __init__(self, tables: ResourceTables) -> None:
        self._tables = tables
        self.chosen: dict[int, None] = {}
        self._promised: set[int] = set()  # spoken for by an earlier item

    def victims(self, spec: Spec, gaps: tuple[Gap, ...], *, emergency: bool, waits: bool) -> int:
        """Choose what closes the gaps, or nothing; return how many allocations are being revoked for it."""
        needed = {gap.dimension: gap.required - gap.bound.available for gap in gaps}
        found: list[AllocationRow] = []
        for row in self._candidates(spec, emergency=emergency, waits=waits):
            if any(part.dimension in needed for part in row.lot.parts):
                found.append(row)
                if _closes(found, needed):
                    break
        else:
            return 0
        # Of those chosen the last would be missed most: whoever is not needed after all is spared, they first.
        for row in reversed(found[:]):
            rest = [each for each in found if each is not row]
            if not row.revoke_at and _closes(rest, needed):
                found = rest
        self._promised.update(row.number for row in found)
        self.chosen.update((row.number, None) for row in found if not row.revoke_at)
        return len(found)

    def _candidates(self, spec: Spec, *, emergency: bool, waits: bool) -> Iterator[AllocationRow]:
        """Give who may be revoked: first who is asked already, then the lowest priority, the newest first."""
        wanted = set(spec.pool_labels)
        rows = [
            row
            for row in self._tables.allocations.values()
            if row.number not in self._promised
            and (row.revoke_at or (emergency and row.lot.priority < spec.priority) or (waits and self._borrowed(row)))
            and all(wanted.issubset(self._labels(part.pool_id)) for part in row.lot.parts)
        ]
        yield from sorted(rows, key=lambda row: (not row.revoke_at, row.lot.priority, -row.number))

    def _labels(self, pool_id: str) -> tuple[tuple[str, str], ...]:
        return self._tables.pools[pool_id].labels

    def _borrowed(self, row: AllocationRow) -> bool:
        """Tell whether its tenant holds more than its quota of one of the dimensions."""
        quota = self._tables.quotas.get(row.lot.tenant)
        held = self._tables.holdings.by_tenant
        for part in row.lot.parts:
            limit = limit_of(quota, part.dimension)
            if limit is not None and held.get((row.lot.tenant, part.dimension), 0) > limit:
                return True
        return False


def _closes(rows: Sequence[AllocationRow], needed: Mapping[str, int]) -> bool:
    """Tell whether these give back what is needed."""
    given = Counter[str]()
    for row in rows:
        for part in row.lot.parts:
            given[part.dimension] += part.amount
    return all(given[dimension] >= amount for dimension, amount in needed.items())
