"""Prices, limits and costs: contract to domain and back."""

from __future__ import annotations

import re
from typing import Final

from tercio.api.resources.v1 import cost_pb2
from tercio.api.resources.v1 import cost_service_pb2 as pb
from tercio_common.rpc.fields import page_size_of
from tercio_common.rpc.violations import Violations
from tercio_resources.state.cost_rows import CostLimitRow, Payer, PriceRow, SetCostLimit, SetPrice
from tercio_resources.state.costs import CostView

_NAME: Final = re.compile(r"[A-Za-z0-9._:/@-]{0,200}")
_MOST_PRICE: Final = 10**9
_MOST_LIMIT: Final = 10**18
MOST_SHOWN: Final = 2**63 - 1


def price_command(request: pb.SetPriceRequest) -> SetPrice:
    """Translate a price. Raises INVALID_ARGUMENT, as all below do."""
    found, price = Violations(), request.price
    found.check_id("price.dimension", price.dimension)
    found.check_range("price.micros_per_unit_hour", price.micros_per_unit_hour, least=0, most=_MOST_PRICE)
    found.raise_if_any()
    return SetPrice(PriceRow(price.dimension, price.micros_per_unit_hour))


def limit_command(request: pb.SetCostLimitRequest) -> SetCostLimit:
    """Translate a limit."""
    found = Violations()
    # Who will use it is not known when it is granted, so an agent cannot be limited.
    found.check_one_of("payer", request.payer, [int(payer) for payer in Payer if payer is not Payer.AGENT])
    found.check_pattern("name", request.name, _NAME)
    found.check_range("limit_micros", request.limit_micros, least=0, most=_MOST_LIMIT)
    found.raise_if_any()
    return SetCostLimit(CostLimitRow(request.payer, request.name, request.limit_micros))


def costs_asked(request: pb.GetCostsRequest) -> tuple[int, int]:
    """Return by whom costs are grouped, and the page size."""
    found = Violations()
    known = [*(int(payer) for payer in Payer), cost_pb2.Cost.PAYER_BUDGET]
    found.check_one_of("payer", request.payer, known)
    size = page_size_of(request.page_size, found)
    found.raise_if_any()
    return request.payer, size


def cost_message(shown: CostView) -> cost_pb2.Cost:
    """Return a cost as the contract has it."""
    return cost_pb2.Cost(
        name=shown.name,
        micros=min(shown.micros, MOST_SHOWN),
        micros_per_hour=min(shown.micros_per_hour, MOST_SHOWN),
        limit_micros=shown.limit,
    )
