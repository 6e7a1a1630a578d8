"""Fields that the messages of every service have: times, epochs, sizes of pages, expressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.type.v1.epoch_pb2 import Epoch as EpochMessage
from tercio_common.epochs import Epoch
from tercio_common.filtering.fields import Field
from tercio_common.filtering.grammar import FilterError
from tercio_common.filtering.predicates import EVERYTHING, Filter, compile_filter
from tercio_common.rpc.violations import Violations

Subject = TypeVar("Subject")

_PAGE_SIZE = 100
_MAX_PAGE_SIZE = 1_000


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
