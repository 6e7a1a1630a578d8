"""Costs: what is held is charged by the millisecond, in whole numbers, at the price when it was granted.

A change of the amounts and a hand-over charge what was held so far; the former begins anew at the prices of the day. A
limit is a hard stop: who reached it is granted nothing more, nor grows. What is held stays and costs on: no work is
lost because of a bill. An emergency passes over limits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_common.machine.table import Table
from tercio_resources.state.accruing import payers
from tercio_resources.state.cost_rows import (
    CostLimitSet,
    CostRow,
    Payer,
    PriceRow,
    PriceSet,
    SetCostLimit,
    SetPrice,
)
from tercio_resources.state.pools import PoolsByDimension
from tercio_resources.state.rows import AllocationRow, Bound, Gap, Part
from tercio_resources.state.tables import ResourceTables

PARTS_A_MICRO: Final = 3_600_000
"""Milliseconds of an hour, for which prices are."""
MOST_PAYERS: Final = 20_000
"""They are named by callers; beyond this, the owner who was charged longest ago and has no limit is forgotten."""
_EVER: Final = 2**63


class CostView(NamedTuple):
    """What somebody cost, in millionths of the currency; a limit of 0 is none."""

    name: str
    micros: int
    micros_per_hour: int
    limit: int


def decide(command: SetPrice | SetCostLimit, tables: ResourceTables) -> Decision:
    """Decide a price or a limit.

    Raises:
        Refusal: POOL_NOT_FOUND for the price of a dimension that has no pool.
    """
    match command:
        case SetPrice(row=price):
            _check_dimension(price, tables.by_dimension)
            before = tables.prices.get(price.dimension)
            unchanged = price == before or (not price.micros and before is None)
            return Decision(() if unchanged else [PriceSet(price)])
        case SetCostLimit(row=limit):
            known = tables.cost_limits.get((limit.payer, limit.name))
            same = limit == known or (not limit.micros and known is None)
            return Decision(() if same else [CostLimitSet(limit)])


def apply(event: PriceSet | CostLimitSet, tables: ResourceTables) -> None:
    """Change the tables by what happened."""
    match event:
        case PriceSet(row=price):
            if price.micros:
                tables.prices.put(price)
            elif price.dimension in tables.prices:
                tables.prices.delete(price.dimension)
        case CostLimitSet(row=limit):
            if limit.micros:
                tables.cost_limits.put(limit)
            elif (limit.payer, limit.name) in tables.cost_limits:
                tables.cost_limits.delete((limit.payer, limit.name))


def rate_of(parts: Iterable[Part], prices: Table[PriceRow]) -> int:
    """Return what amounts cost an hour, in millionths of the currency."""
    if not len(prices):
        return 0
    found = ((part.amount, prices.get(part.dimension)) for part in parts)
    return sum(amount * price.micros for amount, price in found if price is not None)


def charge(row: AllocationRow, at: Moment, tables: ResourceTables) -> AllocationRow:
    """Charge for what was held until now; return the row as it is then."""
    parts = row.lot.rate * (at.now - row.charged_now)
    for key in payers(row) if row.lot.rate else ():
        _add(key, parts, at, tables)
    return row._replace(charged_now=at.now, charged=row.charged + parts)


def charge_agent(agent_id: str, parts: int, at: Moment, tables: ResourceTables) -> None:
    """Count for an agent as well what was held for it, now that it ended."""
    if agent_id and parts:
        _add((Payer.AGENT, agent_id), parts, at, tables)


def total(key: tuple[int, str], now: int, tables: ResourceTables) -> int:
    """Return what somebody cost until now, in millionths of the currency, rounded down."""
    row = tables.costs.get(key)
    return ((row.parts if row else 0) + tables.accruing.parts(key, now)) // PARTS_A_MICRO


def over_limit(tenant: str, owner: str, task_type: str, now: int, tables: ResourceTables) -> Gap | None:
    """Return whose limit is reached, if one is."""
    if not len(tables.cost_limits):
        return None
    for payer, name in ((Payer.TENANT, tenant), (Payer.OWNER, owner), (Payer.TASK_TYPE, task_type)):
        limit = tables.cost_limits.get((payer, name))
        if limit is not None and (spent := total((payer, name), now, tables)) >= limit.micros:
            return Gap("cost", spent, Bound(limit.micros, payer.name.lower(), limit.micros))
    return None


def check_limit(row: AllocationRow, now: int, tables: ResourceTables) -> None:
    """Raise COST_LIMIT_REACHED when what is held may not grow."""
    gap = over_limit(row.lot.tenant, row.owner, row.lot.task_type, now, tables)
    if gap is not None and not row.lot.emergency:
        message = f"the cost limit of the {gap.bound.kind} is reached: {gap.required} of {gap.bound.available} micros"
        raise Refusal("COST_LIMIT_REACHED", message, {"limit": str(gap.bound.available), "cost": str(gap.required)})


def views(payer: Payer, now: int, tables: ResourceTables) -> list[CostView]:
    """Return what everybody of a kind cost, in the order of their names."""
    keys = {(row.payer, row.name) for row in tables.costs.values()} | set(tables.accruing.held())
    keys |= {(row.payer, row.name) for row in tables.cost_limits.values()}
    shown = []
    for key in sorted(key for key in keys if key[0] == payer):
        limit = tables.cost_limits.get(key)
        micros = total(key, now, tables)
        shown.append(CostView(key[1], micros, tables.accruing.rate(key), limit.micros if limit else 0))
    return shown


def _add(key: tuple[int, str], parts: int, at: Moment, tables: ResourceTables) -> None:
    before = tables.costs.get(key)
    if before is None and len(tables.costs) >= MOST_PAYERS:
        _forget(tables)
    tables.costs.put(CostRow(*key, (before.parts if before else 0) + parts, at.now))


def _check_dimension(price: PriceRow, units: PoolsByDimension) -> None:
    if not units.unit(price.dimension):
        raise Refusal("POOL_NOT_FOUND", f"no pool has the dimension {price.dimension!r}; create one first")


def _forget(tables: ResourceTables) -> None:
    """Forget the owner that was charged longest ago and has no limit, and only if there is none somebody else.

    Each attempt at a task is an owner: they would soon take the room of all tenants, types of tasks and agents.
    """
    for oldest in (tables.charged_owners, tables.charged_others):
        kept: list[tuple[int, str]] = []
        while (key := oldest.pop(_EVER)) is not None and key in tables.cost_limits:
            kept.append(key)
        for each in kept:
            oldest.set(each, tables.costs[each].charged_now)
        if key is not None:
            tables.costs.delete(key)
            return
