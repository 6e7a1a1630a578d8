"""UsageService: thin."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import grpc

from tercio.api.resources.v1 import usage_service_pb2 as pb
from tercio.api.resources.v1 import usage_service_pb2_grpc as rpc
from tercio_common.cursors import decode_page, encode_page
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.pages import page
from tercio_common.rpc.calls import call_of
from tercio_resources.state import optimisation, prediction
from tercio_resources.state.forecast import forecasts
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.optimisation import Proposal
from tercio_resources.state.session import Session
from tercio_resources.translate import usage as to_usage

Context = grpc.aio.ServicerContext[Any, Any]


class UsageServicer(rpc.UsageServiceServicer):
    """See the contract for what each method does."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def ReportUsage(self, request: pb.ReportUsageRequest, context: Context) -> Any:
        command, call = to_usage.report_command(request), call_of(request, context)
        return await self._host.execute(
            command,
            call=call,
            render=lambda unknown: pb.ReportUsageResponse(
                unknown_allocation_ids=unknown.numbers, unknown_owners=unknown.owners
            ).SerializeToString(),
        )

    async def ListUsages(self, request: pb.ListUsagesRequest, context: Context) -> pb.ListUsagesResponse:
        size, after = to_usage.page_size(request), int(decode_page("usages", request.page_token) or 0)

        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.ListUsagesResponse:
            tables = machine.tables
            rows = tables.usages.values()
            found, more = page(rows, key=attrgetter("number"), after=after, size=size, selects=lambda _: True)
            return pb.ListUsagesResponse(
                usages=[to_usage.usage_message(row, tables.allocations[row.number].owner) for row in found],
                next_page_token=encode_page("usages", str(found[-1].number)) if more else "",
            )

        return await self._host.read(look)

    async def GetEfficiency(self, request: pb.GetEfficiencyRequest, context: Context) -> pb.GetEfficiencyResponse:
        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.GetEfficiencyResponse:
            target = machine.rules.efficiency_target
            shown = [to_usage.efficiency_message(each, target=target) for each in machine.tables.used.efficiencies()]
            return pb.GetEfficiencyResponse(efficiencies=shown)

        return await self._host.read(look)

    async def GetPrediction(self, request: pb.GetPredictionRequest, context: Context) -> pb.GetPredictionResponse:
        task_type, labels = to_usage.task_asked(request)
        adaptive = request.adaptive_buffer

        def look(machine: ResourcesMachine, _session: Session, _at: Moment) -> pb.GetPredictionResponse:
            history = machine.tables.histories.get(task_type)
            found = prediction.predict(history, labels, machine.rules.default_estimate, adaptive=adaptive)
            return pb.GetPredictionResponse(prediction=to_usage.prediction_message(found, machine.tables.by_dimension))

        return await self._host.read(look)

    async def ListForecasts(self, request: pb.ListForecastsRequest, context: Context) -> pb.ListForecastsResponse:
        size, after = to_usage.page_size(request), decode_page("forecasts", request.page_token)

        def look(machine: ResourcesMachine, _session: Session, at: Moment) -> pb.ListForecastsResponse:
            tables = machine.tables
            found, more = page(
                tables.pools.values(), key=attrgetter("pool_id"), after=after, size=size, selects=lambda _: True
            )
            shown = forecasts(found, tables.holdings.granted, tables.samples, at.now)
            return pb.ListForecastsResponse(
                forecasts=[to_usage.forecast_message(each, at) for each in shown],
                next_page_token=encode_page("forecasts", found[-1].pool_id) if more else "",
            )

        return await self._host.read(look)

    async def Optimize(self, request: pb.OptimizeRequest, context: Context) -> Any:
        command, call = to_usage.optimize_command(request), call_of(request, context)
        term = self._host.term

        def render(found: list[Proposal]) -> bytes:
            units = term.machine.tables.by_dimension  # type: ignore[attr-defined]
            shown = [to_usage.proposal_message(each, units) for each in found]
            return pb.OptimizeResponse(proposals=shown).SerializeToString()

        def look(machine: ResourcesMachine, _session: Session, at: Moment) -> bytes:
            return render(optimisation.proposals(command, at, machine.tables, machine.rules))

        if request.validate_only:
            return await self._host.read(look)
        return await self._host.execute(command, call=call, render=render)
