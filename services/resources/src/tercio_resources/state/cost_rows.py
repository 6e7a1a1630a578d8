"""What things cost, for whom it is counted and limited, and what was asked and happened about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Payer(IntEnum):
    """For whom cost is counted; the numbers are those of the contract and of the records."""

    TENANT = 1
    OWNER = 2
    TASK_TYPE = 3
    AGENT = 5


class PriceRow(NamedTuple):
    """The price of one unit of a dimension for an hour, in millionths of the currency."""

    dimension: str
    micros: int


class CostRow(NamedTuple):
    """What was charged so far.

    Attributes:
        parts: in 3,600,000ths of a millionth of the currency, so that every millisecond counts exactly.
        charged_now: when something was charged last, in ms of fleet time.
    """

    payer: int
    name: str
    parts: int
    charged_now: int


class CostLimitRow(NamedTuple):
    """From when on nothing more is granted, in millionths of the currency."""

    payer: int
    name: str
    micros: int


@dataclass(frozen=True, slots=True)
class SetPrice:
    """Charge this for what is granted from now on; 0 charges nothing."""

    row: PriceRow


@dataclass(frozen=True, slots=True)
class SetCostLimit:
    """Limit what somebody may cost; 0 does not limit it."""

    row: CostLimitRow


@dataclass(frozen=True, slots=True)
class PriceSet:
    """A price was set, or with 0 removed."""

    row: PriceRow


@dataclass(frozen=True, slots=True)
class CostLimitSet:
    """A limit was set, or with 0 removed."""

    row: CostLimitRow
