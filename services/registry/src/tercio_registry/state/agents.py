"""Agents as the journal knows them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Membership(IntEnum):
    """Whether an agent takes part in the fleet. Values are persisted."""

    ACTIVE = 1
    GONE = 2
    DEREGISTERED = 3


class Health(IntEnum):
    """How regularly an active agent renews; a higher value is worse. Values are persisted."""

    HEALTHY = 1
    DEGRADED = 2
    UNHEALTHY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What an agent says of itself.

    Attributes:
        agent_type: free name of the kind of agent.
        version: version of its software.
        capabilities: (name, level 1 to 100), sorted by name.
        labels: (key, value), sorted by key.
        concurrency: attempts that it runs at once, from 1.
    """

    agent_type: str = ""
    version: str = ""
    capabilities: tuple[tuple[str, int], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    concurrency: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRow:
    """One agent. Its last renewals are session state and not here; the transitions that follow from them are.

    Attributes:
        fingerprint: hexadecimal digest of the agent's secret.
        instance_id: the process that registered last.
        incarnation: rises with each new process and after each end of the membership.
        confirmed_generation, confirmed_revision: epoch of the leader that heard the agent last.
        cordoned: takes no new work; outlives restarts of the agent.
        draining: finishes its work and leaves; ends with the incarnation.
        reason: why the agent was cordoned, drained, or is no longer active.
        registered_wall: when this incarnation registered, wall time in ms.
        enrolled_now: fleet time in ms of the last registration, which renews like a heartbeat.
        ended_now: fleet time in ms at which the membership ended; 0 while active.
        changed_seq: record that changed the row last.
    """

    agent_id: str
    profile: Profile
    fingerprint: str
    instance_id: bytes
    incarnation: int
    membership: Membership = Membership.ACTIVE
    health: Health = Health.HEALTHY
    confirmed_generation: int
    confirmed_revision: int
    cordoned: bool = False
    draining: bool = False
    reason: str = ""
    registered_wall: int
    enrolled_now: int
    ended_now: int = 0
    changed_seq: int

    @property
    def active(self) -> bool:
        """True until the agent is gone or has deregistered."""
        return self.membership is Membership.ACTIVE

    def confirmed_by(self, generation: int, revision: int) -> bool:
        """Tell whether the leader of that epoch has heard the agent."""
        return self.confirmed_revision == revision and self.confirmed_generation == generation

    @property
    def size_bytes(self) -> int:
        """About what the row costs in a snapshot."""
        profile = self.profile
        names = sum(len(name) + 4 for name, _ in profile.capabilities)
        labels = sum(len(key) + len(value) + 4 for key, value in profile.labels)
        texts = len(self.agent_id) + len(profile.agent_type) + len(profile.version) + len(self.reason)
        return 200 + texts + names + labels


@dataclass(frozen=True, slots=True)
class IncarnationFloor:
    """The highest incarnation of any row that was evicted.

    New ids start above it, so that a process that slept through its own eviction can never be taken for a later agent
    of the same id.
    """

    value: int
