"""RegistryService: thin. Streams are served by `link` and `watching`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from typing import Any

import grpc

from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1 import registry_service_pb2_grpc as rpc
from tercio.api.registry.v1.agent_config_pb2 import ConfigRevision
from tercio_common.errors import Refusal
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_common.rpc import system_tasks
from tercio_common.rpc.calls import call_of
from tercio_registry import translate
from tercio_registry.api.deregistration import Deregistering
from tercio_registry.api.link import Link
from tercio_registry.api.registration import Registering
from tercio_registry.api.watching import Watching
from tercio_registry.cursors import Position, decode_page, encode_page, encode_position
from tercio_registry.performance_messages import transition_message
from tercio_registry.state.commands import ReportSystemTasks
from tercio_registry.state.history import Transition
from tercio_registry.state.listing import list_agents
from tercio_registry.state.machine import RegistryMachine
from tercio_registry.state.registration import present
from tercio_registry.state.session import Session
from tercio_registry.state.views import AgentView, view

_REVALIDATE = int(ConfigRevision.PHASE_REVALIDATE)
Context = grpc.aio.ServicerContext[Any, Any]


class RegistryServicer(rpc.RegistryServiceServicer):
    """See the contract for what each method does. Replies of mutations are bytes that the host keeps for retries."""

    def __init__(
        self, host: Host, *, registering: Registering, deregistering: Deregistering, link: Link, watching: Watching
    ) -> None:
        self._host = host
        self._registering = registering
        self._deregistering = deregistering
        self._link = link
        self._watching = watching

    async def RegisterAgent(self, request: pb.RegisterAgentRequest, context: Context) -> Any:
        return await self._registering.serve(request, context)

    async def DeregisterAgent(self, request: pb.DeregisterAgentRequest, context: Context) -> pb.DeregisterAgentResponse:
        command = translate.deregister_command(request)
        call, time_left = call_of(request, context), context.time_remaining()
        return await self._deregistering.serve(command, call, time_left=time_left)

    async def CordonAgent(self, request: pb.CordonAgentRequest, context: Context) -> Any:
        command = translate.cordon_command(request)
        return await self._host.execute(command, call=call_of(request, context), render=_render_cordoned)

    async def DrainAgent(self, request: pb.DrainAgentRequest, context: Context) -> Any:
        command = translate.drain_command(request)
        return await self._host.execute(command, call=call_of(request, context), render=_render_drained)

    async def GetAgent(self, request: pb.GetAgentRequest, context: Context) -> pb.GetAgentResponse:
        agent_id = translate.agent_id_of(request)

        def look(
            machine: RegistryMachine, session: Session, at: Moment
        ) -> tuple[AgentView, bytes, Sequence[Transition]]:
            shown = view(present(agent_id, machine.agents.get(agent_id)), at, session)
            return shown, session.report(agent_id), machine.history.of(agent_id)

        shown, report, transitions = await self._host.read(look)
        response = pb.GetAgentResponse(
            agent=translate.agent_message(shown), transitions=map(transition_message, transitions)
        )
        if report:
            response.registration.ParseFromString(report)
        return response

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Context) -> pb.ListAgentsResponse:
        size, selected = translate.listing_of(request)
        after = decode_page(request.page_token, selected)

        def look(machine: RegistryMachine, session: Session, at: Moment) -> pb.ListAgentsResponse:
            page = list_agents(
                machine.agents, machine.order, at, session=session, selected=selected, after=after, size=size
            )
            return pb.ListAgentsResponse(
                agents=map(translate.agent_message, page.agents),
                next_page_token=encode_page(page.after, selected),
                # The state that is read has every record before the next one.
                cursor="" if request.page_token else encode_position(Position(at.seq - 1)),
            )

        return await self._host.read(look)

    def WatchAgents(self, request: pb.WatchAgentsRequest, context: Context) -> AsyncIterator[pb.WatchAgentsResponse]:
        return self._watching.serve(request)

    def Heartbeat(
        self, request_iterator: AsyncIterator[pb.HeartbeatRequest], context: Context
    ) -> AsyncIterator[pb.HeartbeatResponse]:
        return self._link.serve(request_iterator, self._host.term)

    async def WatchSystemTasks(
        self, request: pb.WatchSystemTasksRequest, context: Context
    ) -> AsyncIterator[pb.WatchSystemTasksResponse]:
        async with aclosing(system_tasks.watch(self._host, request.cursor)) as watch:
            async for cursor, system_task in watch:
                yield pb.WatchSystemTasksResponse(cursor=cursor, system_task=system_task)

    async def ReportSystemTasks(self, request: pb.ReportSystemTasksRequest, context: Context) -> Any:
        command = ReportSystemTasks(system_tasks.outcomes_of(request.outcomes))
        render = _render_reported
        if delivered := self._host.machine.configuring.tried(each.system_task_id for each in command.outcomes):
            began = time.perf_counter_ns()

            def render(unknown: tuple[str, ...]) -> bytes:
                for agent_id, revision in delivered:
                    took = {_REVALIDATE: time.perf_counter_ns() - began}
                    self._host.session.timings.note(agent_id, revision, took)
                return _render_reported(unknown)

        reply = await self._host.execute(command, call=call_of(request, context), render=render)
        with suppress(Refusal):  # the leadership may have ended, but the report is durable
            self._link.note_canaries(command.outcomes, self._host.term)
        return reply


def _render_reported(unknown: tuple[str, ...]) -> bytes:
    return pb.ReportSystemTasksResponse(unknown_system_task_ids=unknown).SerializeToString()


def _render_cordoned(shown: AgentView) -> bytes:
    return pb.CordonAgentResponse(agent=translate.agent_message(shown)).SerializeToString()


def _render_drained(shown: AgentView) -> bytes:
    return pb.DrainAgentResponse(agent=translate.agent_message(shown)).SerializeToString()
