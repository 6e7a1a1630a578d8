"""Who holds how much: sums over the allocations, kept in step with their table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from tercio_resources.state.rows import AllocationRow, Lot

_NOTHING: Mapping[int, None] = {}


class Holdings:
    """Index of the table of allocations."""

    def __init__(self) -> None:
        self.granted: dict[str, int] = {}
        """By pool."""
        self.by_tenant: dict[tuple[str, str], int] = {}
        """By tenant and dimension."""
        self._owners: dict[str, dict[int, None]] = {}
        self.returned = 0
        """Rises whenever something is given back."""

    def changed(self, key: int, old: AllocationRow | None, new: AllocationRow | None) -> None:
        """See `Index`."""
        if old is not None:
            self._add(old.lot, -1)
            self._leave(old.owner, key)
            self.returned += 1
        if new is not None:
            self._add(new.lot, 1)
            self._owners.setdefault(new.owner, {})[key] = None

    def of(self, owner: str) -> Collection[int]:
        """Return the numbers of what an owner holds, the oldest first."""
        return self._owners.get(owner, _NOTHING)

    def owners(self) -> Collection[str]:
        """Return everybody who holds something."""
        return self._owners.keys()

    def unknown(self, owners: Iterable[str]) -> list[str]:
        """Return those of the owners that hold nothing."""
        return [owner for owner in owners if owner not in self._owners]

    def _add(self, lot: Lot, sign: int) -> None:
        granted, by_tenant, tenant = self.granted, self.by_tenant, lot.tenant
        for pool_id, dimension, amount in lot.parts:
            granted[pool_id] = granted.get(pool_id, 0) + sign * amount
            key = tenant, dimension
            by_tenant[key] = by_tenant.get(key, 0) + sign * amount
            if not by_tenant[key]:
                del by_tenant[key]
            if not granted[pool_id]:
                del granted[pool_id]

    def _leave(self, owner: str, key: int) -> None:
        held = self._owners[owner]
        del held[key]
        if not held:
            del self._owners[owner]
