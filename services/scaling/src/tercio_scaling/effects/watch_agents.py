"""Follows the registry's word on the agents of pools, for as long as the leadership lasts.

A watch is silent while nothing changes, so each interval a short call asks whether the registry still answers: what is
known is as old as the last answer while the watch is open. While the registry is away what is known grows old, and what
is too old decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import grpc
import structlog

from tercio.api.registry.v1 import agent_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio.identity import POOL_LABEL
from tercio.rpc.backoff import Backoff
from tercio.rpc.channels import FOLLOW_LEADER, Reconnect
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote
from tercio.rpc.status import error_of
from tercio_common.machine.host import Host
from tercio_common.peers import Peers, note_refusal

if TYPE_CHECKING:
    from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceAsyncStub

GONE: Final = frozenset({agent_pb2.Agent.STATE_GONE, agent_pb2.Agent.STATE_DEREGISTERED})
_PAGE: Final = 1000
_ALL_STATES: Final = tuple(number for number in agent_pb2.Agent.State.values() if number)
_LIVING: Final = tuple(number for number in _ALL_STATES if number not in GONE)
_LONGEST_WAIT_MS: Final = 5_000
_log = structlog.get_logger(__name__)


class AgentWatch:
    """What is known of agents that belong to pools."""

    def __init__(self, peers: Peers, *, every_ms: int, changed: Callable[[], None]) -> None:
        """Ask every `every_ms` whether the registry is there; call `changed` whenever more is known of agents."""
        self._peers, self._every_ms, self._changed = peers, every_ms, changed
        self._open = False
        self.agents: dict[str, agent_pb2.Agent] = {}
        """Those that are not gone, by id."""
        self.heard: int | None = None
        """By the boot clock, in ms: so old is all of it; None before anything was heard."""

    async def run(self, host: Host) -> None:
        """Follow for ever, from the beginning."""
        self.agents, self.heard = {}, None
        if not self._peers.has("registry"):
            await asyncio.Event().wait()
        async with self._peers.remote("registry", RegistryServiceStub, host=host) as remote:
            asking = asyncio.create_task(self._ask_endlessly(host, remote))
            try:
                await self._follow_endlessly(host, remote)
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    async def _follow_endlessly(self, host: Host, remote: Remote[RegistryServiceAsyncStub]) -> None:
        reconnect = Reconnect(remote.route, Backoff(maximum_ms=_LONGEST_WAIT_MS))
        while True:
            tried = remote.route.address
            error = await self._follow(host, remote, reconnect)
            _log.info("registry_away", address=tried, error=str(error), effect="what is too old scales nothing")
            note_refusal(error, host=host)
            await reconnect.wait(error, tried=tried)

    async def _follow(
        self, host: Host, remote: Remote[RegistryServiceAsyncStub], reconnect: Reconnect
    ) -> CallError | None:
        """Follow until the registry is away; return how that ended."""
        try:
            cursor = await self._list(host, remote)
            request = pb.WatchAgentsRequest(cursor=cursor, filter=pb.AgentFilter(states=_ALL_STATES))
            call = remote.stub().WatchAgents(request, metadata=FOLLOW_LEADER)
            try:
                async for response in call:
                    reconnect.succeeded()
                    self._take(host, response)
            finally:
                self._open = False
                call.cancel()
        except CallError as error:
            return error
        except grpc.RpcError as failure:
            return error_of(failure)
        return None

    async def _list(self, host: Host, remote: Remote[RegistryServiceAsyncStub]) -> str:
        """Take all there are; return where to watch from. What is old is never resumed, so that it cannot seem new."""
        agents: dict[str, agent_pb2.Agent] = {}
        began, token, cursor = host.clock.boot_ms(), "", ""
        while True:
            request = pb.ListAgentsRequest(page_size=_PAGE, page_token=token, filter=pb.AgentFilter(states=_LIVING))
            page = await remote.unary(lambda stub: stub.ListAgents, request)
            agents |= {agent.agent_id: agent for agent in page.agents if POOL_LABEL in agent.labels}
            cursor = cursor or page.cursor
            token = page.next_page_token
            if not token:
                break
        self.agents, self.heard = agents, began
        self._changed()
        return cursor

    def _take(self, host: Host, response: pb.WatchAgentsResponse) -> None:
        self.heard, self._open = host.clock.boot_ms(), True
        if not response.HasField("agent"):
            return
        agent = response.agent
        if agent.state in GONE or POOL_LABEL not in agent.labels:
            self.agents.pop(agent.agent_id, None)
        else:
            self.agents[agent.agent_id] = agent
        self._changed()

    async def _ask_endlessly(self, host: Host, remote: Remote[RegistryServiceAsyncStub]) -> None:
        request, timeout_s = pb.ListAgentsRequest(page_size=1), self._every_ms / 1000
        while True:
            await host.clock.sleep_ms(self._every_ms)
            began = host.clock.boot_ms()
            try:
                await remote.unary(lambda stub: stub.ListAgents, request, timeout_s=timeout_s)
            except CallError:
                continue  # the watch finds out as well, and says so
            if self._open:
                self.heard = began
