"""What holds after every step; checked in tests after each one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tercio_conflicts.state.machine import ConflictsMachine
from tercio_conflicts.state.modes import compatible


def violations(machine: ConflictsMachine) -> Iterator[str]:
    """Give one sentence for each thing that is wrong in the tables and in what is derived from them."""
    tables = machine.tables
    rows = {row.number: row for row in tables.claims.values()}
    owners = Counter(row.owner for row in rows.values())
    for row in rows.values():
        if row.owner in tables.tombstones:
            yield f"{row.owner!r} was released and holds claim {row.number}"
        if row.token < row.number:
            yield f"claim {row.number} has token {row.token}, which is lower than its first one"
        found = set(tables.holdings.on(row.thing))
        if row.number not in found:
            yield f"claim {row.number} does not overlap its own thing"
        for other in map(rows.__getitem__, found):
            if other.owner != row.owner and not compatible(other.mode, row.mode):
                yield f"claims {row.number} and {other.number} are incompatible"
    holdings = tables.holdings
    if {owner: len(holdings.of(owner)) for owner in holdings.owners()} != owners:
        yield "the index of owners is not that of the table"
    if max(owners.values(), default=0) > machine.rules.owner_limit:
        yield f"an owner holds {max(owners.values())} claims"
    if +holdings.by_mode != Counter(row.mode for row in rows.values()):
        yield "claims are counted wrong"
    if tables.leases.keys() != rows.keys():
        yield "a claim has no lease, or one that does not exist has one"
    if tables.barred.keys() != {row.owner for row in tables.tombstones.values()}:
        yield "a tombstone has no time to go, or one that does not exist has one"
