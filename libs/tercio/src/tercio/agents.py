"""Calls about the fleet's agents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping

import grpc

from tercio.api.registry.v1 import agent_pb2, registry_service_pb2
from tercio.api.registry.v1 import registry_service_pb2_grpc as registry_grpc
from tercio.requests import new_request_id
from tercio.rpc.channels import FOLLOW_LEADER, Route
from tercio.rpc.remote import Remote
from tercio.watching import Change, Page, Watch, listed


class AgentCalls:
    """What a client asks about agents. Agents come as the contract's own `Agent` message."""

    _registry: Remote[registry_grpc.RegistryServiceAsyncStub]

    async def get_agent(self, agent_id: str) -> agent_pb2.Agent:
        """Read one agent.

        Raises:
            NotFoundError: no agent with this id is registered.
        """
        request = registry_service_pb2.GetAgentRequest(agent_id=agent_id)
        return (await self._registry.unary(lambda stub: stub.GetAgent, request)).agent

    def agents(
        self,
        *,
        states: Iterable[agent_pb2.Agent.State.ValueType] = (),
        capabilities: Mapping[str, int] | None = None,
        labels: Mapping[str, str] | None = None,
        agent_type: str = "",
        expression: str = "",
    ) -> AsyncIterator[agent_pb2.Agent]:
        """Yield agents in the order of their ids; every filter that is given must match.

        Args:
            states: any of these; by default all but GONE and DEREGISTERED.
            capabilities: at least these levels.
            labels: exactly these.
            agent_type: exactly this.
            expression: in the filter language of AIP-160, for instance `capabilities.python >= 3 AND load < 0.5`.
        """
        chosen = _filter(states, capabilities, labels, agent_type, expression)
        return listed(_AgentSource(self._registry, chosen).page)

    def watch_agents(
        self,
        *,
        states: Iterable[agent_pb2.Agent.State.ValueType] = (),
        capabilities: Mapping[str, int] | None = None,
        labels: Mapping[str, str] | None = None,
        agent_type: str = "",
        expression: str = "",
        cursor: str = "",
        existing: bool = False,
    ) -> Watch[agent_pb2.Agent]:
        """Yield agents whenever they change, from a cursor or from now on; filters as in `agents`; see `Watch`."""
        source = _AgentSource(self._registry, _filter(states, capabilities, labels, agent_type, expression))
        return Watch(source, cursor=cursor, existing=existing)

    async def cordon_agent(self, agent_id: str, *, cordoned: bool = True, reason: str = "") -> agent_pb2.Agent:
        """Stop new work for an agent, or allow it again. Returns the agent after the change.

        Raises:
            NotFoundError: no agent with this id is registered.
            ConflictError: the agent has left.
        """
        request = registry_service_pb2.CordonAgentRequest(
            request_id=new_request_id(), agent_id=agent_id, cordoned=cordoned, reason=reason
        )
        return (await self._registry.unary(lambda stub: stub.CordonAgent, request)).agent

    async def drain_agent(self, agent_id: str, *, reason: str = "") -> agent_pb2.Agent:
        """Ask an agent to finish its work and leave. Returns the agent after the change.

        Raises:
            NotFoundError: no agent with this id is registered.
            ConflictError: the agent has left.
        """
        request = registry_service_pb2.DrainAgentRequest(request_id=new_request_id(), agent_id=agent_id, reason=reason)
        return (await self._registry.unary(lambda stub: stub.DrainAgent, request)).agent


class _AgentSource:
    """Lists and watches agents."""

    def __init__(
        self, remote: Remote[registry_grpc.RegistryServiceAsyncStub], chosen: registry_service_pb2.AgentFilter
    ) -> None:
        self.route: Route = remote.route
        self._remote = remote
        self._filter = chosen

    def page(self, token: str) -> Awaitable[Page[agent_pb2.Agent]]:
        return self._page(token)

    def watch(
        self, cursor: str
    ) -> grpc.aio.UnaryStreamCall[registry_service_pb2.WatchAgentsRequest, registry_service_pb2.WatchAgentsResponse]:
        request = registry_service_pb2.WatchAgentsRequest(cursor=cursor, filter=self._filter)
        return self._remote.stub().WatchAgents(request, metadata=FOLLOW_LEADER)

    def change(self, response: registry_service_pb2.WatchAgentsResponse) -> Change[agent_pb2.Agent]:
        return Change([response.agent] if response.HasField("agent") else [], response.cursor)

    async def _page(self, token: str) -> Page[agent_pb2.Agent]:
        request = registry_service_pb2.ListAgentsRequest(page_token=token, filter=self._filter)
        response = await self._remote.unary(lambda stub: stub.ListAgents, request)
        return Page(response.agents, response.next_page_token, response.cursor)


def _filter(
    states: Iterable[agent_pb2.Agent.State.ValueType],
    capabilities: Mapping[str, int] | None,
    labels: Mapping[str, str] | None,
    agent_type: str,
    expression: str,
) -> registry_service_pb2.AgentFilter:
    return registry_service_pb2.AgentFilter(
        states=states, capabilities=capabilities, labels=labels, agent_type=agent_type, expression=expression
    )
