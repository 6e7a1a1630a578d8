"""What agents require, in the dimensions and units of pools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio_common.errors import Refusal
from tercio_registry.settings import DimensionSettings
from tercio_registry.state.agents import Amount


def in_pools(required: Iterable[Amount], dimensions: Mapping[str, DimensionSettings]) -> list[ResourceAmount]:
    """Return what is to be asked for; nothing of what is required zero times.

    Raises:
        Refusal: RESOURCE_ALLOCATION_FAILED when something is counted in another unit.
    """
    sums: Counter[str] = Counter()
    units: dict[str, str] = {}
    for each in required:
        known = dimensions.get(each.dimension)
        if known is None:
            sums[each.dimension] += each.amount
            units[each.dimension] = each.unit
            continue
        if each.unit not in {"", known.unit}:
            issue = f"{each.dimension} is counted in {known.unit}, not in {each.unit}"
            raise Refusal("RESOURCE_ALLOCATION_FAILED", f"nothing is reserved: {issue}", {"issues": issue})
        sums[known.dimension] += each.amount * known.factor
    return [
        ResourceAmount(dimension=dimension, amount=amount, unit=units.get(dimension, ""))
        for dimension, amount in sorted(sums.items())
        if amount
    ]
