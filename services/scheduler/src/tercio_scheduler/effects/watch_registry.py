"""Follows the registry's word on agents, for as long as the leadership lasts.

It only subtracts: a cordoned, draining, unhealthy, deaf or gone agent gets no new work. An agent of which the registry
says nothing may work, because its stream is the proof that it lives; so the scheduler works on while the registry is
away, and keeps the last view that it had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import grpc
import structlog

from tercio.api.registry.v1 import agent_pb2, health_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio.rpc.backoff import Backoff
from tercio.rpc.channels import FOLLOW_LEADER, Reconnect
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote
from tercio.rpc.status import error_of
from tercio_common.machine.host import Host
from tercio_common.peers import Peers, note_refusal
from tercio_scheduler.state.session import SchedulerSession, Standing

if TYPE_CHECKING:
    from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceAsyncStub

_PAGE: Final = 1000
_ALL_STATES: Final = tuple(number for number in agent_pb2.Agent.State.values() if number)
_GONE: Final = frozenset({agent_pb2.Agent.STATE_GONE, agent_pb2.Agent.STATE_DEREGISTERED})
_STALE_CURSOR: Final = frozenset({"CURSOR_COMPACTED", "CURSOR_INVALID"})
_log = structlog.get_logger(__name__)


class RegistryWatch:
    """The effect."""

    def __init__(self, peers: Peers, *, changed: Callable[[], None]) -> None:
        """Watch the registry of the fleet; `changed` is called after each change of standing."""
        self._peers = peers
        self._changed = changed

    async def run(self, host: Host) -> None:
        """Follow for ever."""
        if not self._peers.has("registry"):
            await asyncio.Event().wait()
        view = _View(host.session, changed=self._changed)
        async with self._peers.remote("registry", RegistryServiceStub, host=host) as remote:
            reconnect = Reconnect(remote.route, Backoff())
            while True:
                tried = remote.route.address
                error = await _follow(remote, view, reconnect)
                _log.info("registry_away", address=tried, error=str(error), effect="the last view of agents is kept")
                note_refusal(error, host=host)
                await reconnect.wait(error, tried=tried)


class _View:
    """The session's standings, and where the watch goes on."""

    def __init__(self, session: SchedulerSession, *, changed: Callable[[], None]) -> None:
        self._session = session
        self._changed = changed
        self.cursor = ""

    def take_all(self, agents: list[agent_pb2.Agent], *, cursor: str) -> None:
        listed = {agent.agent_id for agent in agents}
        for agent_id in self._session.standings.keys() - listed:
            self._session.set_standing(agent_id, None)
        for agent in agents:
            self._session.set_standing(agent.agent_id, standing_of(agent))
        self.cursor = cursor
        self._changed()

    def take(self, response: pb.WatchAgentsResponse) -> None:
        self.cursor = response.cursor
        if response.HasField("agent"):
            self._session.set_standing(response.agent.agent_id, standing_of(response.agent))
            self._changed()


def standing_of(agent: agent_pb2.Agent) -> Standing:
    """Return what the registry's word takes away from an agent."""
    return Standing(
        cordoned=agent.cordoned,
        draining=agent.draining,
        unhealthy=agent.state == agent_pb2.Agent.STATE_UNHEALTHY,
        gone=agent.state in _GONE,
        deaf=health_pb2.HEALTH_REASON_DEAF in agent.health_reasons,
    )


async def _follow(remote: Remote[RegistryServiceAsyncStub], view: _View, reconnect: Reconnect) -> CallError | None:
    """Follow until the registry is away; return how that ended."""
    try:
        if not view.cursor:
            agents, cursor = await _list(remote)
            view.take_all(agents, cursor=cursor)
        call = remote.stub().WatchAgents(
            pb.WatchAgentsRequest(cursor=view.cursor, filter=pb.AgentFilter(states=_ALL_STATES)),
            metadata=FOLLOW_LEADER,
        )
        try:
            async for response in call:
                reconnect.succeeded()
                view.take(response)
        finally:
            call.cancel()
    except CallError as error:
        return error
    except grpc.RpcError as failure:
        ended = error_of(failure)
        if ended.reason in _STALE_CURSOR:
            view.cursor = ""
        return ended
    return None


async def _list(remote: Remote[RegistryServiceAsyncStub]) -> tuple[list[agent_pb2.Agent], str]:
    agents: list[agent_pb2.Agent] = []
    token = cursor = ""
    while True:
        request = pb.ListAgentsRequest(page_size=_PAGE, page_token=token, filter=pb.AgentFilter(states=_ALL_STATES))
        page = await remote.unary(lambda stub: stub.ListAgents, request)
        agents += page.agents
        cursor = cursor or page.cursor
        token = page.next_page_token
        if not token:
            return agents, cursor
