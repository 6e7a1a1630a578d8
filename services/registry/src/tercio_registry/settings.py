"""The registry's settings: section `registry`."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from tercio_common.settings import ProcessSettings, Section
from tercio_registry.state.rules import Rules

_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")]


class DimensionSettings(Section):
    """How something that agents require is counted by the pools of the resources service."""

    dimension: _Id
    """Of the pools, for instance `cpu`."""
    factor: int = Field(default=1, ge=1, le=10**9)
    """How many of the pools' units make one of the agent's, 1 to 10^9."""
    unit: str = Field(default="", max_length=128)
    """What agents count in. An agent may leave it out; another one is refused."""


_DIMENSIONS = {
    "cpu_cores": DimensionSettings(dimension="cpu", factor=1_000, unit="cores"),
    "memory_mb": DimensionSettings(dimension="memory", unit="MB"),
    "disk_mb": DimensionSettings(dimension="storage", unit="MB"),
}


class ReservationSettings(Section):
    """How what agents require is reserved with the resources service, if the fleet has one."""

    dimensions: dict[_Id, DimensionSettings] = _DIMENSIONS
    """What agents call what pools call otherwise: whole cores, and MB of memory and disk. Every other name is the
    pools' own. The most that one agent may reserve is said by `owner_limits` of the resources service."""
    priority: int = Field(default=9, ge=0, le=9)
    """Of what is reserved, 0 to 9: an emergency takes from tasks before it takes from agents."""
    ttl_ms: int = Field(default=60_000, ge=1_000, le=86_400_000)
    """A reservation that is not renewed ends after this long, in ms, 1 s to 1 day: a minute outlasts a change of the
    registry's leader."""
    renew_ms: int = Field(default=10_000, ge=50, le=3_600_000)
    """How often all are renewed, and lost ones are reserved anew, in ms, 50 ms to 1 h: six times a TTL."""
    call_timeout_ms: int = Field(default=5_000, ge=100, le=60_000)
    """How long a registration waits for the resources service, in ms, 100 ms to 1 min; then it is refused. A change of
    its leader takes less."""

    @model_validator(mode="after")
    def _check_relations(self) -> Self:
        if 2 * self.renew_ms + self.call_timeout_ms > self.ttl_ms:
            raise ValueError(
                f"ttl_ms ({self.ttl_ms}) must be at least twice renew_ms ({self.renew_ms}) and call_timeout_ms "
                f"({self.call_timeout_ms}), or one lost call could end every reservation"
            )
        return self


class RegistrySettings(Section):
    """Health and retention."""

    heartbeat_interval_ms: int = Field(default=10_000, ge=50, le=600_000)
    """Mean time between two heartbeats of an agent, in ms, 50 ms to 10 min. An agent is gone after three: at 10 s
    a dead one is noticed within 30 s, and 10,000 agents send 1,000 heartbeats a second."""
    retention_ms: int = Field(default=3_600_000, ge=1_000)
    """How long an agent that is gone or left keeps its id, in ms of fleet time, from 1 s: an hour outlasts the
    repair of a machine."""
    max_agents: int = Field(default=10_000, ge=1, le=1_000_000)
    """Agents that may be active at once in the fleet, 1 to 1,000,000; one more is refused with `AGENT_LIMIT_REACHED`,
    and nobody is ended by it. A bound on runaway starts, not on growth: the other defaults are reckoned for 10,000. A
    team that pays by the agent sets 10."""
    performance_flush_ms: int = Field(default=30_000, ge=100, le=600_000)
    """How often what agents have counted is recorded, in ms, 100 ms to 10 min. At 30 s a busy fleet of 10,000 agents
    adds 17 kB/s to the journal, and a history that is shown is no older."""
    agent_series: int = Field(default=200, ge=0, le=10_000)
    """Up to this many known agents the metrics have series of their own for each, 0 to 10,000; above it they have none.
    200 agents make 1,000 series, which any Prometheus takes in."""
    failure_threshold: int = Field(default=3, ge=1, le=100)
    """Bad observations in a row, of reports or canaries, after which an agent is degraded, 1 to 100: one may be chance,
    and three heartbeats are as long as the lease."""
    recovery_streak: int = Field(default=3, ge=1, le=100)
    """Good observations in a row after which it no longer is, 1 to 100; for missed heartbeats, punctual ones. As many
    as make an agent gone, so that it does not flicker."""
    memory_percent: int = Field(default=90, ge=1, le=100)
    """Share of memory in use from which an agent is short of it, in percent, 1 to 100; 80 % of that is good again.
    Over 90 % the kernel begins to reclaim and kill."""
    disk_percent: int = Field(default=95, ge=1, le=100)
    """Share of disk in use from which an agent is short of it, in percent, 1 to 100: many a working machine is at 90 %.
    It only degrades, because a full disk must not stop a fleet."""
    queue_percent: int = Field(default=100, ge=1, le=100)
    """Share of an agent's queue in use from which it is full, in percent, 1 to 100: agents hold work ahead
    on purpose."""
    error_percent: int = Field(default=50, ge=1, le=100)
    """Failed attempts per attempts from which an agent is degraded, in percent, 1 to 100. Below half, bad tasks are
    likelier than a bad agent."""
    least_attempts: int = Field(default=5, ge=1, le=10_000)
    """Attempts that make one observation of the error rate, 1 to 10,000; fewer wait for the next report."""
    slow_percent: int = Field(default=300, ge=0, le=10_000)
    """Time that an agent's attempts take, per time that they took it on the whole or that they take the other agents,
    from which it is degraded, in percent, up to 10,000; 0 judges nobody. Tasks of one type differ, by less than three
    times on the average."""
    canary_interval_ms: int = Field(default=30_000, ge=0, le=3_600_000)
    """Mean time between two canaries of an agent, in ms, up to 1 h; 0 sends none. At 30 s a deaf agent is found within
    about a minute, and 10,000 agents answer 333 a second."""
    canary_timeout_ms: int = Field(default=10_000, ge=50, le=600_000)
    """How long an agent may take to answer one, in ms, 50 ms to 10 min. One that is asked in vain is asked again at
    once, so this also paces suspects; it outlasts a change of the scheduler's leader."""

    reservations: ReservationSettings = ReservationSettings()
    """What is reserved for agents."""

    @model_validator(mode="after")
    def _check_relations(self) -> Self:
        ttl_ms = self.rules().ttl
        if self.retention_ms < ttl_ms:
            raise ValueError(
                f"retention_ms ({self.retention_ms}) must be at least three times heartbeat_interval_ms ({ttl_ms} ms), "
                "or an agent could lose its id sooner than its lease"
            )
        return self

    def rules(self) -> Rules:
        """Return what the state needs of them."""
        return Rules(
            interval=self.heartbeat_interval_ms,
            retention=self.retention_ms,
            max_agents=self.max_agents,
            failure_threshold=self.failure_threshold,
            recovery_streak=self.recovery_streak,
            memory_percent=self.memory_percent,
            disk_percent=self.disk_percent,
            queue_percent=self.queue_percent,
            error_percent=self.error_percent,
            least_attempts=self.least_attempts,
            slow_percent=self.slow_percent,
            canary_interval=self.canary_interval_ms,
            canary_timeout=self.canary_timeout_ms,
        )


class RegistryProcessSettings(ProcessSettings):
    """A process that runs the registry alone."""

    registry: RegistrySettings = RegistrySettings()
    """The registry itself."""
