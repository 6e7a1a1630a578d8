"""What happened. By whom, when and in which epoch stands in the record's header and enters `apply` as the moment."""

from __future__ import annotations

from dataclasses import dataclass

from tercio_common.machine.system_tasks import SystemTasksClosed, SystemTasksOpened
from tercio_registry.state.agents import Health, Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRegistered:
    """An agent joined, came back as a new process, or registered again."""

    agent_id: str
    profile: Profile
    fingerprint: str
    instance_id: bytes
    incarnation: int


@dataclass(frozen=True, slots=True)
class AgentsConfirmed:
    """Agents were heard by the leader of this epoch, and are healthy."""

    agent_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgentsDeclined:
    """Agents have missed heartbeats and are now in a worse health."""

    health: Health
    agent_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgentsGone:
    """The leases of agents ended."""

    agent_ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class AgentsEvicted:
    """Agents whose membership ended long ago were forgotten."""

    agent_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDeregistered:
    """An agent left."""

    agent_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCordoned:
    """New work for an agent was stopped or allowed."""

    agent_id: str
    cordoned: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDrained:
    """An agent was asked to finish its work and leave."""

    agent_id: str
    reason: str


Event = (
    AgentRegistered
    | AgentsConfirmed
    | AgentsDeclined
    | AgentsGone
    | AgentsEvicted
    | AgentDeregistered
    | AgentCordoned
    | AgentDrained
    | SystemTasksOpened
    | SystemTasksClosed
)
