"""Quotas: what all owners of one tenant may hold together, and when they may hold more."""

from __future__ import annotations

from tercio_common.errors import Refusal
from tercio_common.machine.table import Table
from tercio_resources.state.commands import SetQuota
from tercio_resources.state.pools import PoolsByDimension, checked_unit
from tercio_resources.state.rows import QuotaRow


def checked(command: SetQuota, units: PoolsByDimension) -> QuotaRow:
    """Return the row of a quota whose units are right.

    Raises:
        Refusal: POOL_NOT_FOUND for a dimension that has no pool, or UNIT_MISMATCH.
    """
    named = dict(command.units)
    for dimension, _ in command.row.limits:
        if not units.unit(dimension):
            raise Refusal("POOL_NOT_FOUND", f"no pool has the dimension {dimension!r}; create one first")
        checked_unit(dimension, named.get(dimension, ""), units)
    return command.row


def present(tenant: str, quotas: Table[QuotaRow]) -> QuotaRow:
    """Return a tenant's quota; raises QUOTA_NOT_FOUND."""
    row = quotas.get(tenant)
    if row is None:
        raise Refusal("QUOTA_NOT_FOUND", f"tenant {tenant!r} has no quota: the pools alone bound it")
    return row


def limit_of(row: QuotaRow | None, dimension: str) -> int | None:
    """Return the most of a dimension, None when it is not bounded."""
    return dict(row.limits).get(dimension) if row is not None else None
