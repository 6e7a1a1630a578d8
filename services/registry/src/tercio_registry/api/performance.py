"""PerformanceService: thin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc

from tercio.api.registry.v1 import performance_pb2
from tercio.api.registry.v1 import performance_service_pb2 as pb
from tercio.api.registry.v1 import performance_service_pb2_grpc as rpc
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_registry.cursors import decode_page, encode_page
from tercio_registry.performance_messages import performance_message
from tercio_registry.settings import DimensionSettings
from tercio_registry.state.filters import AgentFilter
from tercio_registry.state.machine import RegistryMachine
from tercio_registry.state.registration import present
from tercio_registry.state.session import Session

Context = grpc.aio.ServicerContext[Any, Any]
_PAGE_SIZE = 100
_MAX_PAGE_SIZE = 1_000
_LOOKS_PER_PAGE = 20_000
"""A page may be short, or even empty, rather than hold the event loop for longer than some 20 ms."""


class PerformanceServicer(rpc.PerformanceServiceServicer):
    """See the contract."""

    def __init__(self, host: Host, *, dimensions: Mapping[str, DimensionSettings]) -> None:
        """Serve; `dimensions` say what agents call what pools call otherwise."""
        self._host, self._dimensions = host, dimensions

    async def GetAgentPerformance(
        self, request: pb.GetAgentPerformanceRequest, context: Context
    ) -> pb.GetAgentPerformanceResponse:
        found = Violations()
        found.check_id("agent_id", request.agent_id)
        found.raise_if_any()

        def look(machine: RegistryMachine, session: Session, _at: Moment) -> performance_pb2.AgentPerformance:
            row = present(request.agent_id, machine.agents.get(request.agent_id))
            return performance_message(row, machine.performance, session, dimensions=self._dimensions)

        return pb.GetAgentPerformanceResponse(performance=await self._host.read(look))

    async def ListAgentPerformance(
        self, request: pb.ListAgentPerformanceRequest, context: Context
    ) -> pb.ListAgentPerformanceResponse:
        found = Violations()
        found.check_range("page_size", request.page_size, least=0, most=_MAX_PAGE_SIZE)
        found.check_length("task_type", request.task_type, most=MAX_TEXT)
        found.raise_if_any()
        size = request.page_size or _PAGE_SIZE
        # The token is bound to what was asked for, as that of a list of agents is to its filter.
        selected = AgentFilter(agent_type=f"performance/{request.task_type}")
        after = decode_page(request.page_token, selected)

        def look(machine: RegistryMachine, session: Session, _at: Moment) -> pb.ListAgentPerformanceResponse:
            page, last = pb.ListAgentPerformanceResponse(), after
            for looks, agent_id in enumerate(machine.order.after(after)):
                if len(page.performances) == size or looks == _LOOKS_PER_PAGE:
                    page.next_page_token = encode_page(last, selected)
                    break
                row, last = machine.agents[agent_id], agent_id
                message = performance_message(
                    row, machine.performance, session, only=request.task_type, dimensions=self._dimensions
                )
                if row.active and (message.task_types or not request.task_type):
                    page.performances.append(message)
            return page

        return await self._host.read(look)
