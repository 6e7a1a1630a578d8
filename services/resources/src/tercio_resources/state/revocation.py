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
from tercio_resources.state.rows import MOST_ITEMS, AllocationRow, Gap, Lot, Shortage, Spec
from tercio_resources.state.rules import Rules
from tercio_resources.state.tables import ResourceTables


def make_room(
    shortages: dict[int, Shortage],
    command: Allocate,
    at: Moment,
    *,
    tables: ResourceTables,
    rules: Rules,
) -> tuple[dict[int, Shortage], list[RevocationsRequested]]:
    """Choose victims for the items that are short of what a pool has; return the shortages with their number."""
    room = _Room(tables, at)
    answered = dict(shortages)
    for item, shortage in shortages.items():
        spec = command.specs[command.indexes[item]] if command.indexes else command.specs[0]
        if shortage.reason != "INSUFFICIENT_RESOURCES" or any(gap.bound.kind != "pool" for gap in shortage.gaps):
            continue  # room in the pool would not help
        victims = room.victims(spec, shortage.gaps, emergency=command.emergency)
        answered[item] = shortage._replace(revoking=victims)
    if not room.chosen:
        return answered, []
    return answered, [RevocationsRequested(tuple(room.chosen)[:MOST_ITEMS], at.now + rules.grace)]


class _Room:
    """Victims that were chosen for earlier items, and what they will give back."""

    def __init__(self, tables: ResourceTables, at: Moment) -> None:
        self._wall = at.wall
        self._tables, self._borrowers = tables, _borrowers(tables)
        self.chosen: dict[int, None] = {}
        self._promised: set[int] = set()  # spoken for by an earlier item

    def victims(self, spec: Spec, gaps: tuple[Gap, ...], *, emergency: bool) -> int:
        """Choose what closes the gaps, or nothing; return how many allocations are being revoked for it."""
        if any(self._tables.pools[gap.pool_id].fenced for gap in gaps):
            return 0  # it would grant nothing all the same
        needed = {gap.pool_id: self._missing(gap, emergency=emergency) for gap in gaps}
        found: list[AllocationRow] = []
        for row in self._candidates(spec, emergency=emergency):
            if any(part.pool_id in needed for part in row.lot.parts):
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

    def _missing(self, gap: Gap, *, emergency: bool) -> int:
        """Return how much must be given back; of a pool that is over-committed more than the gap."""
        pool = self._tables.pools[gap.pool_id]
        kept = 0 if emergency else pool.reserve + self._tables.reserved.withheld(pool.pool_id, self._wall)
        free = pool.capacity - kept - self._tables.holdings.granted.get(gap.pool_id, 0)
        return gap.required - min(free, gap.bound.available)

    def _candidates(self, spec: Spec, *, emergency: bool) -> Iterator[AllocationRow]:
        """Give who may be revoked: first who is asked already, then the lowest priority, the newest first."""
        if not emergency and not self._borrowers:
            return  # it is asked for every call that waits, and looks at every allocation
        rows = [
            row
            for row in self._tables.allocations.values()
            if row.number not in self._promised
            and (row.revoke_at or (row.lot.priority < spec.priority if emergency else self._borrowed(row.lot)))
        ]
        yield from sorted(rows, key=lambda row: (not row.revoke_at, row.lot.priority, -row.number))

    def _borrowed(self, lot: Lot) -> bool:
        return any((lot.tenant, part.dimension) in self._borrowers for part in lot.parts)


def _borrowers(tables: ResourceTables) -> set[tuple[str, str]]:
    """Return the tenants that hold more than their quotas, and of what."""
    held = tables.holdings.by_tenant
    return {
        (quota.tenant, dimension)
        for quota in tables.quotas.values()
        for dimension, limit in quota.limits
        if quota.borrowing and held.get((quota.tenant, dimension), 0) > limit
    }


def _closes(rows: Sequence[AllocationRow], needed: Mapping[str, int]) -> bool:
    """Tell whether these give back what is needed of each pool."""
    given = Counter[str]()
    for row in rows:
        for part in row.lot.parts:
            given[part.pool_id] += part.amount
    return all(given[pool_id] >= amount for pool_id, amount in needed.items())
