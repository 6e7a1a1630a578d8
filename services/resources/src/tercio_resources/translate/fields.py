"""Parts that the messages of several nouns share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.type.v1.epoch_pb2 import Epoch as EpochMessage
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio_common.epochs import Epoch
from tercio_common.filtering.fields import Field
from tercio_common.filtering.grammar import FilterError
from tercio_common.filtering.predicates import EVERYTHING, Filter, compile_filter
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_resources.state.rows import Amount

Subject = TypeVar("Subject")

MOST_AMOUNTS = 32
MOST_OF_ONE = 10**15
_PAGE_SIZE = 100
_MAX_PAGE_SIZE = 1_000


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


def page_size_of(size: int, found: Violations) -> int:
    """Return the size of a page, and note when it is too large."""
    found.check_range("page_size", size, least=0, most=_MAX_PAGE_SIZE)
    return size or _PAGE_SIZE


def filter_of(text: str, fields: Mapping[str, Field[Subject]], found: Violations) -> Filter[Subject]:
    """Return the compiled field `expression`, and note what is wrong with it."""
    try:
        return compile_filter(text, fields)
    except FilterError as error:
        found.add("expression", str(error))
        return EVERYTHING


def amount_messages(amounts: Sequence[tuple[str, int, str]]) -> list[ResourceAmount]:
    """Return dimensions, amounts and units as the contract has them."""
    return [ResourceAmount(dimension=name, amount=amount, unit=unit) for name, amount, unit in amounts]


def epoch_message(epoch: Epoch) -> EpochMessage:
    """Return an epoch as the contract has it."""
    return EpochMessage(generation=epoch.generation, revision=epoch.revision)


def timestamp(milliseconds: int) -> Timestamp:
    """Return a time in ms as the contract has it."""
    seconds, rest = divmod(milliseconds, 1000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000_000)


def duration(milliseconds: int) -> Duration:
    """Return a duration in ms as the contract has it."""
    seconds, rest = divmod(milliseconds, 1000)
    return Duration(seconds=seconds, nanos=rest * 1_000_000)
