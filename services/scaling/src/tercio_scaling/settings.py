"""The settings of the scaling service: section `scaling`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from tercio_common.settings import ProcessSettings, Section
from tercio_scaling.drivers.kubernetes_settings import KubernetesSettings
from tercio_scaling.drivers.local_settings import LocalSettings
from tercio_scaling.state.rules import Rules


class ScalingSettings(Section):
    """How pools of agents are looked after. What a pool is like is declared with the pool."""

    observe_ms: int = Field(default=10_000, ge=100, le=600_000)
    """Each pool is looked at no less often than this, in ms, 100 ms to 10 min, and after every change of a queue or an
    agent anyway."""
    settle_ms: int = Field(default=200, ge=10, le=60_000)
    """Changes that follow each other within this time are looked at together, in ms, 10 ms to 1 min: a plan of many
    tasks is one look."""
    stale_ms: int = Field(default=30_000, ge=300, le=3_600_000)
    """What is known of demand, agents or a driver decides nothing once it is older, in ms, 300 ms to 1 h: three times
    `observe_ms`, so that one lost message does no harm and an outage changes nothing."""
    check_ms: int = Field(default=120_000, ge=100, le=3_600_000)
    """What a driver has is compared with what was decided no less often than this, in ms, 100 ms to 1 h; drivers tell
    of changes by themselves, so this is only the fallback."""
    history_ms: int = Field(default=86_400_000, ge=1_000, le=2_592_000_000)
    """How long events are kept, in ms, 1 s to 30 days: a day, so that yesterday's night can be explained."""
    max_events: int = Field(default=1_000, ge=10, le=10_000)
    """Events that are kept of each pool, 10 to 10,000: some 400 bytes each in a snapshot. All of them together take no
    more than half of what the service may hold, so of many pools fewer are kept."""
    max_pools: int = Field(default=1_000, ge=1, le=10_000)
    """Agent pools, and budgets, that there may be, 1 to 10,000: all are looked at every
    `observe_ms`, some 80 µs for one of eight agents."""
    operator_principals: tuple[str, ...] = ("local", "replica")
    """Who may apply, scale, surge and delete pools. By default whoever reaches the service over loopback, as everywhere
    else."""

    kubernetes: KubernetesSettings = KubernetesSettings()
    """Where pools of the drivers `deployment` and `pods` are; see `KubernetesSettings`."""
    local: LocalSettings = LocalSettings()
    """Agents that run as processes of the service; see `LocalSettings`."""

    @model_validator(mode="after")
    def _check_stale(self) -> Self:
        if self.stale_ms < 3 * self.observe_ms:
            raise ValueError("stale_ms must be at least three times observe_ms: else one lost message is an outage")
        return self

    def rules(self) -> Rules:
        """Return what the state needs of them."""
        return Rules(
            stale=self.stale_ms,
            history=self.history_ms,
            max_events=self.max_events,
            max_pools=self.max_pools,
            operators=frozenset(self.operator_principals),
        )


class ScalingProcessSettings(ProcessSettings):
    """A process that runs the scaling service alone."""

    scaling: ScalingSettings = ScalingSettings()
    """The service itself."""
