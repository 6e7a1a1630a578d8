"""Parts that the messages of several nouns share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_resources.state.rows import Amount

MOST_AMOUNTS = 32
MOST_OF_ONE = 10**15


def amounts_of(
    field: str, given: Collection[ResourceAmount], found: Violations, *, least: int, fewest: int = 0
) -> tuple[Amount, ...]:
    """Return amounts in the order of their dimensions, and note what is wrong with them."""
    found.check_length(field, given, least=fewest, most=MOST_AMOUNTS, unit="amounts")
    seen: set[str] = set()
    for index, each in enumerate(given):
        path = f"{field}[{index}]"
        found.check_id(f"{path}.dimension", each.dimension)
        found.check(f"{path}.dimension", each.dimension not in seen, f"{each.dimension!r} is given twice")
        found.check_range(f"{path}.amount", each.amount, least=least, most=MOST_OF_ONE)
        found.check_length(f"{path}.unit", each.unit, most=MAX_TEXT)
        seen.add(each.dimension)
    return tuple(sorted(Amount(each.dimension, each.amount, each.unit) for each in given))


def labels_of(field: str, given: Mapping[str, str], found: Violations) -> tuple[tuple[str, str], ...]:
    """Return labels in the order of their keys, and note what is wrong with them."""
    found.check_labels(field, given)
    return tuple(sorted(given.items()))


def tenant_of(field: str, tenant: str, found: Violations, *, optional: bool = True) -> str:
    """Return a tenant, and note what is wrong with it."""
    found.check_id(field, tenant, optional=optional)
    return tenant


def amount_messages(amounts: Sequence[tuple[str, int, str]]) -> list[ResourceAmount]:
    """Return dimensions, amounts and units as the contract has them."""
    return [ResourceAmount(dimension=name, amount=amount, unit=unit) for name, amount, unit in amounts]
