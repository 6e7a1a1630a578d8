"""What holds after every step; checked in tests after each one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tercio_resources.state import budget_invariants, worktree_invariants
from tercio_resources.state.accruing import payers
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.tables import ResourceTables


def violations(machine: ResourcesMachine) -> Iterator[str]:
    """Give one sentence for each thing that is wrong in the tables and in what is derived from them.

    That no grant goes over a pool's capacity is a property of steps, not of states: a cut leaves less than is granted.
    """
    tables = machine.tables
    rows = {row.number: row for row in tables.allocations.values()}
    granted, by_tenant, owners = Counter[str](), Counter[tuple[str, str]](), Counter[str]()
    for row in rows.values():
        owners[row.owner] += 1
        if row.owner in tables.tombstones:
            yield f"{row.owner!r} was released and holds allocation {row.number}"
        if row.token < row.number:
            yield f"allocation {row.number} has token {row.token}, which is lower than its first one"
        for part in row.lot.parts:
            granted[part.pool_id] += part.amount
            by_tenant[row.lot.tenant, part.dimension] += part.amount
            pool = tables.pools.get(part.pool_id)
            if pool is None:
                yield f"allocation {row.number} is from pool {part.pool_id!r}, which does not exist"
            elif pool.dimension != part.dimension:
                yield f"allocation {row.number} counts {part.dimension} in a pool of {pool.dimension}"
    holdings = tables.holdings
    if holdings.granted != granted or holdings.by_tenant != by_tenant:
        yield "what is granted is summed up wrong"
    if {owner: len(holdings.of(owner)) for owner in holdings.owners()} != owners:
        yield "the index of owners is not that of the table"
    if tables.leases.keys() != rows.keys():
        yield "an allocation has no lease, or one that does not exist has one"
    if tables.barred.keys() != {row.owner for row in tables.tombstones.values()}:
        yield "a tombstone has no time to go, or one that does not exist has one"
    past = {row.number for row in tables.past_allocations.values()}
    if past & rows.keys():
        yield "an allocation is held and over"
    if tables.past.keys() != past:
        yield "an allocation that ended is never forgotten, or one is that is not kept"
    yield from _usage_violations(tables)
    for row_of_samples in tables.samples.values():
        if row_of_samples.pool_id not in tables.pools:
            yield f"pool {row_of_samples.pool_id!r} does not exist, and its samples are kept"
    yield from _reservation_violations(tables)
    yield from _cost_violations(tables)
    units = {(pool.dimension, pool.unit) for pool in tables.pools.values()}
    if len(units) != len({dimension for dimension, _ in units}):
        yield f"a dimension counts in two units: {sorted(units)}"
    for pool in tables.pools.values():
        if not 0 <= pool.reserve <= pool.capacity:
            yield f"pool {pool.pool_id!r} reserves {pool.reserve} of {pool.capacity}"
    yield from budget_invariants.violations(tables)
    yield from worktree_invariants.violations(tables)


def _reservation_violations(tables: ResourceTables) -> Iterator[str]:
    claims: dict[int, int] = {}
    for row in tables.reservations.values():
        if any(part.pool_id not in tables.pools for part in row.lot.parts):
            yield f"reservation {row.number} is of a pool that does not exist"
        if row.allocation:
            claims[row.allocation] = row.number
            if row.allocation not in tables.allocations:
                yield f"allocation {row.allocation} of reservation {row.number} is not held"
    if tables.reserved.claims != claims:
        yield "what was granted for reservations is noted wrong"
    due = {row.number for row in tables.reservations.values() if row.due}
    if tables.reserved.keys() != due:
        yield "a reservation is looked at that need not be, or is not that has to be"


def _cost_violations(tables: ResourceTables) -> Iterator[str]:
    rates = Counter[tuple[int, str]]()
    for row in tables.allocations.values():
        for key in payers(row) if row.lot.rate else ():
            rates[key] += row.lot.rate
    if {key: tables.accruing.rate(key) for key in tables.accruing.held()} != rates:
        yield "what is held costs is summed up wrong"
    charged = tables.charged_owners.keys() | tables.charged_others.keys()
    if charged != {(row.payer, row.name) for row in tables.costs.values()}:
        yield "it is not known who was charged longest ago"


def _usage_violations(tables: ResourceTables) -> Iterator[str]:
    granted, used = Counter[str](), Counter[str]()
    for row in tables.usages.values():
        held = tables.allocations.get(row.number)
        if held is None:
            yield f"allocation {row.number} is not held, and its usage is kept"
            continue
        amounts = {part.dimension: part.amount for part in held.lot.parts}
        for each in row.used:
            if each.granted != amounts.get(each.dimension):
                yield f"allocation {row.number} is said to have {each.granted} of {each.dimension}"
            granted[each.dimension] += each.granted
            used[each.dimension] += min(each.granted, each.last)
    shown = {each.dimension: (each.granted, each.used) for each in tables.used.efficiencies()}
    if shown != {dimension: (granted[dimension], used[dimension]) for dimension in granted}:
        yield "what is used is summed up wrong"
