"""What happened. By whom, when and in which epoch stands in the record's header and enters `apply` as the moment."""

from __future__ import annotations

from dataclasses import dataclass

from tercio_common.machine.system_tasks import SystemTasksClosed, SystemTasksOpened
from tercio_registry.state.agents import Ailment, Drain, Health, Profile
from tercio_registry.state.config_events import ConfigEvent, RolloutEvent
from tercio_registry.state.totals import Counted


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRegistered:
    """An agent joined, came back as a new process, or registered again."""

    agent_id: str
    profile: Profile
    fingerprint: str
    instance_id: bytes
    incarnation: int
    registration_id: str = ""
    reservation_id: str = ""


@dataclass(frozen=True, slots=True)
class AgentsConfirmed:
    """Agents were heard by the leader of this epoch, and renew like that."""

    agent_ids: tuple[str, ...]
    regularity: Health = Health.HEALTHY


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentsJudged:
    """Observations in a row have changed the verdict on one thing: agents ail from it now, or no longer do."""

    ailment: Ailment
    ailing: bool
    agent_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgentsDeclined:
    """Agents have missed heartbeats, and renew worse than before."""

    regularity: Health
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
    drain: Drain | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCordoned:
    """New work for an agent was stopped or allowed."""

    agent_id: str
    cordoned: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDrained:
    """An agent was asked to finish its work and leave, by that fleet time in ms unless it is 0."""

    agent_id: str
    reason: str
    leave_by: int = 0


@dataclass(frozen=True, slots=True)
class RegistrationBegun:
    """Something outside is about to be done for a registration."""

    registration_id: str


@dataclass(frozen=True, slots=True)
class RegistrationsUndone:
    """What was done outside for these registrations is undone; but for reservations that next incarnations keep."""

    registration_ids: tuple[str, ...]
    keeps_reservations: bool = False


@dataclass(frozen=True, slots=True)
class PerformanceRecorded:
    """What agents have done was counted."""

    agents: tuple[Counted, ...]


Event = (
    AgentRegistered
    | AgentsConfirmed
    | AgentsJudged
    | AgentsDeclined
    | AgentsGone
    | AgentsEvicted
    | AgentDeregistered
    | AgentCordoned
    | AgentDrained
    | RegistrationBegun
    | RegistrationsUndone
    | PerformanceRecorded
    | SystemTasksOpened
    | SystemTasksClosed
    | ConfigEvent
    | RolloutEvent
)
