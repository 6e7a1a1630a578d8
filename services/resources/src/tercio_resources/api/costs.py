"""CostService: thin."""

from __future__ import annotations

from typing import Any

import grpc

from tercio.api.resources.v1 import cost_pb2
from tercio.api.resources.v1 import cost_service_pb2 as pb
from tercio.api.resources.v1 import cost_service_pb2_grpc as rpc
from tercio_common.cursors import decode_page, encode_page
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.rpc.calls import call_of
from tercio_resources.state import costs
from tercio_resources.state.cost_rows import Payer
from tercio_resources.state.costs import CostView
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.session import Session
from tercio_resources.state.tables import ResourceTables
from tercio_resources.translate import costs as to_costs

Context = grpc.aio.ServicerContext[Any, Any]
_PARTS_A_MICRO = 10**6
"""Budgets count in 10^-12 of the currency."""
_FIRST = "="
"""Before every name in a page token, because a tenant may have none."""


class CostServicer(rpc.CostServiceServicer):
    """See the contract for what each method does."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def SetPrice(self, request: pb.SetPriceRequest, context: Context) -> Any:
        command, call = to_costs.price_command(request), call_of(request, context)
        return await self._host.execute(command, call=call, render=lambda _: b"")

    async def ListPrices(self, request: pb.ListPricesRequest, context: Context) -> pb.ListPricesResponse:
        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.ListPricesResponse:
            return pb.ListPricesResponse(
                prices=[
                    cost_pb2.Price(dimension=row.dimension, micros_per_unit_hour=row.micros)
                    for row in sorted(machine.tables.prices.values())
                ]
            )

        return await self._host.read(look)

    async def SetCostLimit(self, request: pb.SetCostLimitRequest, context: Context) -> Any:
        command, call = to_costs.limit_command(request), call_of(request, context)
        return await self._host.execute(command, call=call, render=lambda _: b"")

    async def GetCosts(self, request: pb.GetCostsRequest, context: Context) -> pb.GetCostsResponse:
        payer, size = to_costs.costs_asked(request)
        after = decode_page(f"costs-{payer}", request.page_token)

        def look(machine: ResourcesMachine, _session: Session, at: Moment) -> pb.GetCostsResponse:
            shown = _of_budgets(machine.tables) if payer == cost_pb2.Cost.PAYER_BUDGET else _of(payer, at, machine)
            rest = [each for each in shown if _FIRST + each.name > after]
            found, more = rest[:size], len(rest) > size
            return pb.GetCostsResponse(
                costs=map(to_costs.cost_message, found),
                next_page_token=encode_page(f"costs-{payer}", _FIRST + found[-1].name) if more else "",
            )

        return await self._host.read(look)


def _of(payer: int, at: Moment, machine: ResourcesMachine) -> list[CostView]:
    return costs.views(Payer(payer), at.now, machine.tables)


def _of_budgets(tables: ResourceTables) -> list[CostView]:
    return [
        CostView(row.budget_id, tables.meters[row.budget_id].cost // _PARTS_A_MICRO, 0, row.cost_limit)
        for row in sorted(tables.budgets.values())
    ]
