"""Amounts of resources: contract to domain and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tercio.api.type.v1 import resource_amount_pb2
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_registry.state.agents import Amount

_MOST = 32
_MOST_OF_ONE = 10**15


def checked(field: str, given: Sequence[resource_amount_pb2.ResourceAmount], found: Violations) -> tuple[Amount, ...]:
    """Return the amounts in the order of their dimensions; note what is wrong with them."""
    found.check_length(field, given, most=_MOST, unit="amounts")
    seen: set[str] = set()
    for index, each in enumerate(given):
        path = f"{field}[{index}]"
        found.check_id(f"{path}.dimension", each.dimension)
        found.check(f"{path}.dimension", each.dimension not in seen, f"{each.dimension!r} is given twice")
        found.check_range(f"{path}.amount", each.amount, least=0, most=_MOST_OF_ONE)
        found.check_length(f"{path}.unit", each.unit, most=MAX_TEXT)
        seen.add(each.dimension)
    return tuple(sorted(Amount(each.dimension, each.amount, each.unit) for each in given))


def check_within(required: Iterable[Amount], allowed: Iterable[Amount], found: Violations) -> None:
    """Note where more is required than is allowed, or in another unit; what has no bound is not bounded."""
    bounds = {each.dimension: each for each in allowed}
    for each in required:
        bound = bounds.get(each.dimension)
        if bound is not None and (bound.unit != each.unit or bound.amount < each.amount):
            wanted = f"at least the {each.amount} {each.unit} that are required"
            found.add("max_resources", f"{each.dimension} is {bound.amount} {bound.unit}, must be {wanted}")


def messages(amounts: Iterable[Amount]) -> list[resource_amount_pb2.ResourceAmount]:
    """Return amounts as the contract has them."""
    return [
        resource_amount_pb2.ResourceAmount(dimension=each.dimension, amount=each.amount, unit=each.unit)
        for each in amounts
    ]
