"""Pools: how much there is of one dimension, and whether it may be granted.

A cut of the capacity revokes nothing: who holds something keeps it, and the pool grants nothing until it fits again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.table import Table
from tercio_resources.state.commands import CreatePool, UpdatePool
from tercio_resources.state.rows import PoolRow
from tercio_resources.state.worktree_rows import WorktreePoolRow

UNITS: Final[Mapping[str, str]] = {
    "cpu": "millicores",
    "memory": "MB",
    "storage": "MB",
    "network": "Mbps",
    "tokens": "tokens",
    "time": "ms",
    "git_worktrees": "count",
    "licences": "count",
}
"""One unit a dimension; any other dimension counts in what its first pool says."""


class PoolState(IntEnum):
    """A pool's state as shown; the numbers are those of the contract."""

    ACTIVE = 1
    FENCED = 2
    OVER_COMMITTED = 3


class PoolView(NamedTuple):
    """A pool as shown.

    Attributes:
        ready: of a pool that keeps worktrees: how many can be handed out.
    """

    row: PoolRow
    granted: int
    ready: int = 0

    @property
    def state(self) -> PoolState:
        """Tell whether it grants."""
        if self.row.fenced:
            return PoolState.FENCED
        return PoolState.OVER_COMMITTED if self.granted > self.row.capacity else PoolState.ACTIVE


class PoolsByDimension:
    """Index of the table of pools: those of each dimension, in the order of their ids."""

    def __init__(self) -> None:
        self._pools: dict[str, dict[str, PoolRow]] = {}
        self.changes = 0
        """Rises whenever there may be more to grant than before."""

    def changed(self, key: str, old: PoolRow | None, new: PoolRow | None) -> None:
        """See `Index`."""
        self.changes += 1
        if old is not None:
            of_dimension = self._pools[old.dimension]
            del of_dimension[key]
            if not of_dimension:
                del self._pools[old.dimension]
        if new is not None:
            of_dimension = self._pools.setdefault(new.dimension, {})
            of_dimension[key] = new
            self._pools[new.dimension] = dict(sorted(of_dimension.items()))

    def of(self, dimension: str) -> Iterable[PoolRow]:
        """Return the pools of a dimension."""
        return self._pools.get(dimension, {}).values()

    def unit(self, dimension: str) -> str:
        """Return the unit of a dimension; empty when nobody has said."""
        pools = self._pools.get(dimension)
        return next(iter(pools.values())).unit if pools else UNITS.get(dimension, "")

    def capacities(self) -> dict[str, int]:
        """Return how much there is of each dimension."""
        return {name: sum(pool.capacity for pool in pools.values()) for name, pools in self._pools.items()}


def created(
    command: CreatePool, pools: Table[PoolRow], keeping: Table[WorktreePoolRow], units: PoolsByDimension
) -> PoolRow:
    """Decide a new pool.

    Raises:
        Refusal: POOL_EXISTS or UNIT_MISMATCH.
    """
    row = command.row
    check_new(row.pool_id, pools, keeping)
    return row._replace(unit=checked_unit(row.dimension, row.unit, units))


def check_new(pool_id: str, pools: Table[PoolRow], keeping: Table[WorktreePoolRow]) -> None:
    """Raise POOL_EXISTS if there is a pool of that id, or one that was deleted still has worktrees."""
    if pool_id in pools:
        raise Refusal("POOL_EXISTS", f"pool {pool_id!r} exists; change it, or use another id")
    if pool_id in keeping:
        raise Refusal(
            "POOL_EXISTS", f"the worktrees of pool {pool_id!r} are still being removed; wait, or use another id"
        )


def updated(command: UpdatePool, pools: Table[PoolRow]) -> PoolRow:
    """Decide a change of a pool; what is absent stays.

    Raises:
        Refusal: POOL_NOT_FOUND, or INVALID_ARGUMENT when the reserve would be over the capacity.
    """
    row = present(command.pool_id, pools)
    capacity = row.capacity if command.capacity is None else command.capacity
    row = row._replace(
        capacity=capacity,
        reserve=min(row.reserve, capacity) if command.reserve is None else command.reserve,
        fenced=row.fenced if command.fenced is None else command.fenced,
        labels=row.labels if command.labels is None else command.labels,
    )
    if row.reserve > row.capacity:
        raise Refusal("INVALID_ARGUMENT", f"the reserve, {row.reserve}, is over the capacity, {row.capacity}")
    return row


def check_deletable(pool_id: str, pools: Table[PoolRow], *, granted: int, reserved: int) -> None:
    """Raise POOL_NOT_FOUND or POOL_IN_USE unless the pool can be deleted."""
    row = present(pool_id, pools)
    if granted:
        message = f"{granted} {row.unit} of pool {pool_id!r} are granted; fence it and wait until they are released"
        raise Refusal("POOL_IN_USE", message, {"granted": str(granted)})
    if reserved:
        message = f"{reserved} {row.unit} of pool {pool_id!r} are reserved; cancel the reservations"
        raise Refusal("POOL_IN_USE", message, {"reserved": str(reserved)})


def present(pool_id: str, pools: Table[PoolRow]) -> PoolRow:
    """Return the pool; raises POOL_NOT_FOUND."""
    row = pools.get(pool_id)
    if row is None:
        raise Refusal("POOL_NOT_FOUND", f"there is no pool {pool_id!r}; list them, or create it")
    return row


def checked_unit(dimension: str, unit: str, units: PoolsByDimension) -> str:
    """Return the unit of a dimension if `unit` is empty or the same.

    Raises:
        Refusal: UNIT_MISMATCH.
    """
    known = units.unit(dimension)
    if not unit or not known or unit == known:
        return known or unit
    message = f"{dimension} counts in {known}, not in {unit}; convert the amount"
    raise Refusal("UNIT_MISMATCH", message, {"dimension": dimension, "unit": known})
