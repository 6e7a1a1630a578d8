"""Agents as the journal knows them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Membership(IntEnum):
    """Whether an agent takes part in the fleet. Values are persisted."""

    ACTIVE = 1
    GONE = 2
    DEREGISTERED = 3


class Health(IntEnum):
    """How well an active agent is; a higher value is worse. Values are persisted."""

    HEALTHY = 1
    DEGRADED = 2
    UNHEALTHY = 3


class Ailment(IntEnum):
    """What may be wrong with an agent beside missed heartbeats. Values are persisted, and those of the contract."""

    HIGH_ERROR_RATE = 2
    MEMORY_EXHAUSTED = 3
    DISK_EXHAUSTED = 4
    QUEUE_FULL = 5
    DEAF = 6
    RESERVATION_LOST = 7
    SLOW = 8


OWN_AILMENTS = frozenset(Ailment) - {Ailment.RESERVATION_LOST}
"""Those that speak against the agent itself, or against what it was configured with."""


class Amount(NamedTuple):
    """How much of one resource: a whole number of `unit`, so that sums are exact."""

    dimension: str
    amount: int
    unit: str = ""


class Drain(NamedTuple):
    """What an agent did before it left: attempts that it finished and returned, and how long that took, in ms."""

    finished: int = 0
    returned: int = 0
    duration: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What an agent says of itself.

    Attributes:
        agent_type: free name of the kind of agent.
        version: version of its software.
        capabilities: (name, level 1 to 100), sorted by name.
        labels: (key, value), sorted by key.
        concurrency: attempts that it runs at once, from 1.
        resource_requirements: what it needs, sorted by dimension.
        max_resources: the most that it may use, sorted by dimension.
        started_wall: when its process started, wall time in ms; 0 when it did not say.
    """

    agent_type: str = ""
    version: str = ""
    capabilities: tuple[tuple[str, int], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    concurrency: int = 1
    resource_requirements: tuple[Amount, ...] = ()
    max_resources: tuple[Amount, ...] = ()
    started_wall: int = 0

    @property
    def requires_anything(self) -> bool:
        """True when something is to be reserved for it."""
        return any(each.amount for each in self.resource_requirements)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRow:
    """One agent. Its last renewals are session state and not here; the transitions that follow from them are.

    Attributes:
        fingerprint: hexadecimal digest of the agent's secret.
        instance_id: the process that registered last.
        incarnation: rises with each new process and after each end of the membership.
        regularity: how it renews.
        ailments: what else is wrong with it, sorted; ends with the incarnation.
        confirmed_generation, confirmed_revision: epoch of the leader that heard the agent last.
        cordoned: takes no new work; outlives restarts of the agent.
        draining: finishes its work and leaves; ends with the incarnation.
        reason: why the agent was cordoned, drained, or is no longer active.
        registered_wall: when this incarnation registered, wall time in ms.
        enrolled_now: fleet time in ms of the last registration, which renews like a heartbeat.
        ended_now: fleet time in ms at which the membership ended; 0 while active.
        changed_seq: record that changed the row last.
        registration_id: what was reserved and cleared for this incarnation is kept under it; empty when nothing was.
        reservation_id: the former incarnation's registration whose reservation it keeps; empty when it has its own.
        leave_by: fleet time in ms at which a draining agent is removed; 0 when it may take as long as it likes.
        drain: what the agent did before it left, None when it did not say.
        performance: (task type, score in percent) as watchers were told last, sorted by type.
        config_revision: what is active of its configurations; 0 for nothing.
    """

    agent_id: str
    profile: Profile
    fingerprint: str
    instance_id: bytes
    incarnation: int
    membership: Membership = Membership.ACTIVE
    regularity: Health = Health.HEALTHY
    ailments: tuple[Ailment, ...] = ()
    confirmed_generation: int
    confirmed_revision: int
    cordoned: bool = False
    draining: bool = False
    reason: str = ""
    registered_wall: int
    enrolled_now: int
    ended_now: int = 0
    changed_seq: int
    registration_id: str = ""
    reservation_id: str = ""
    leave_by: int = 0
    drain: Drain | None = None
    performance: tuple[tuple[str, int], ...] = ()
    config_revision: int = 0

    @property
    def active(self) -> bool:
        """True until the agent is gone or has deregistered."""
        return self.membership is Membership.ACTIVE

    @property
    def reserved_under(self) -> str:
        """The registration that what it requires is reserved under; empty when nothing was."""
        return self.reservation_id or self.registration_id

    @property
    def health(self) -> Health:
        """The worst of all that is known."""
        return max(self.regularity, Health.DEGRADED) if self.ailments else self.regularity

    @property
    def own_health(self) -> Health:
        """The worst of what the agent itself is to blame for."""
        ails = not OWN_AILMENTS.isdisjoint(self.ailments)
        return max(self.regularity, Health.DEGRADED) if ails else self.regularity

    def confirmed_by(self, generation: int, revision: int) -> bool:
        """Tell whether the leader of that epoch has heard the agent."""
        return self.confirmed_revision == revision and self.confirmed_generation == generation

    @property
    def size_bytes(self) -> int:
        """About what the row costs in a snapshot."""
        profile = self.profile
        names = sum(len(name) + 4 for name, _ in profile.capabilities)
        labels = sum(len(key) + len(value) + 4 for key, value in profile.labels)
        amounts = 0
        for each in profile.resource_requirements + profile.max_resources:
            amounts += len(each.dimension) + len(each.unit) + 12
        scores = sum(len(name) + 4 for name, _ in self.performance)
        texts = len(self.agent_id) + len(profile.agent_type) + len(profile.version) + len(self.reason)
        return 200 + texts + names + labels + amounts + scores


@dataclass(frozen=True, slots=True)
class IncarnationFloor:
    """The highest incarnation of any row that was evicted.

    New ids start above it, so that a process that slept through its own eviction can never be taken for a later agent
    of the same id.
    """

    value: int
