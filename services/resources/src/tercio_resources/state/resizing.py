"""Resizing: a holder gives a part back, or asks for more of what it has, as anybody asks for a grant.

Owner and token stay. More comes from the same pools, and is bounded as a grant is; who was asked to release gets none.
"""

from __future__ import annotations

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_resources.state import allocations, authority, costs, grants
from tercio_resources.state.commands import Resize
from tercio_resources.state.events import AllocationsReshaped
from tercio_resources.state.pools import checked_unit
from tercio_resources.state.rows import AllocationRow
from tercio_resources.state.rules import Rules
from tercio_resources.state.session import Session
from tercio_resources.state.shortages import refusal
from tercio_resources.state.tables import ResourceTables


def resize(command: Resize, at: Moment, *, tables: ResourceTables, session: Session, rules: Rules) -> Decision:
    """Decide a resize; the reply is the row after it.

    Raises:
        Refusal: ALLOCATION_NOT_FOUND, INVALID_ARGUMENT, UNIT_MISMATCH, INSUFFICIENT_RESOURCES, PERMISSION_DENIED.
    """
    row = allocations.present(command.number, tables.allocations)
    if row.owner != command.owner:
        raise Refusal("ALLOCATION_NOT_FOUND", f"{command.owner!r} does not hold allocation {row.number}")
    authority.check_holder(row, at.principal, rules)
    wanted = _wanted(command, row, tables)
    parts = tuple(part._replace(amount=wanted.get(part.dimension, part.amount)) for part in row.lot.parts)
    if parts == row.lot.parts:
        return Decision((), row)
    lot = row.lot._replace(parts=parts, rate=costs.rate_of(parts, tables.prices))
    more = tuple(
        part._replace(amount=part.amount - before.amount)
        for part, before in zip(parts, row.lot.parts, strict=True)
        if part.amount > before.amount
    )
    if more:
        grants.check_emergency(at.principal, rules, emergency=lot.emergency)
        ledger = grants.Ledger(tables, session, rules, at, emergency=lot.emergency)
        costs.check_limit(row, at.now, tables)
        if gaps := ledger.gaps(row, more):
            raise refusal(f"allocation {row.number} cannot grow", gaps)
    return Decision([AllocationsReshaped((row.number,), (lot,))], row._replace(lot=lot), creates_work=bool(more))


def _wanted(command: Resize, row: AllocationRow, tables: ResourceTables) -> dict[str, int]:
    held = {part.dimension: part for part in row.lot.parts}
    for amount in command.amounts:
        checked_unit(amount.dimension, amount.unit, tables.by_dimension)
        if amount.dimension not in held:
            message = f"allocation {row.number} has no {amount.dimension!r}; ask for another allocation"
            raise Refusal("INVALID_ARGUMENT", message)
        if held[amount.dimension].pool_id in tables.worktree_pools:
            message = f"{amount.dimension} are held by name: release this one, or ask for another"
            raise Refusal("INVALID_ARGUMENT", message)
    return {amount.dimension: amount.amount for amount in command.amounts}
