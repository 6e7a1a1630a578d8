"""Events and rows of costs as protobuf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from tercio_resources.records.v1 import events_pb2 as records
from tercio_resources.state.cost_rows import CostLimitRow, CostLimitSet, CostRow, PriceRow, PriceSet
from tercio_resources.state.tables import COST_LIMITS, COSTS, PRICES


def _price_record(row: PriceRow) -> records.PriceRow:
    return records.PriceRow(dimension=row.dimension, micros=row.micros)


def _price(record: records.PriceRow) -> PriceRow:
    return PriceRow(record.dimension, record.micros)


def _limit_record(row: CostLimitRow) -> records.CostLimitRow:
    return records.CostLimitRow(payer=row.payer, name=row.name, micros=row.micros)


def _limit(record: records.CostLimitRow) -> CostLimitRow:
    return CostLimitRow(record.payer, record.name, record.micros)


def _cost_record(row: CostRow) -> records.CostRow:
    return records.CostRow(payer=row.payer, name=row.name, parts=str(row.parts), charged_now_ms=row.charged_now)


def _cost(data: bytes) -> CostRow:
    record = records.CostRow.FromString(data)
    return CostRow(record.payer, record.name, int(record.parts or 0), record.charged_now_ms)


ENCODERS: dict[type[Any], Callable[[Any], records.Event]] = {
    PriceSet: lambda e: records.Event(price_set=_price_record(e.row)),
    CostLimitSet: lambda e: records.Event(cost_limit_set=_limit_record(e.row)),
}
DECODERS: dict[str, Callable[[Any], Any]] = {
    "price_set": lambda r: PriceSet(_price(r)),
    "cost_limit_set": lambda r: CostLimitSet(_limit(r)),
}
ROW_ENCODERS: dict[str, Callable[[Any], Message]] = {
    PRICES: _price_record,
    COSTS: _cost_record,
    COST_LIMITS: _limit_record,
}
ROW_DECODERS: dict[str, Callable[[bytes], Any]] = {
    PRICES: lambda data: _price(records.PriceRow.FromString(data)),
    COSTS: _cost,
    COST_LIMITS: lambda data: _limit(records.CostLimitRow.FromString(data)),
}
