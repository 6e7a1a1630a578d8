"""The registry's settings: section `registry`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from tercio_common.settings import ProcessSettings, Section
from tercio_registry.state.rules import Rules


class RegistrySettings(Section):
    """Health and retention."""

    heartbeat_interval_ms: int = Field(default=10_000, ge=50, le=600_000)
    """Mean time between two heartbeats of an agent, in ms, 50 ms to 10 min. An agent is gone after three: at 10 s
    a dead one is noticed within 30 s, and 10,000 agents send 1,000 heartbeats a second."""
    retention_ms: int = Field(default=3_600_000, ge=1_000)
    """How long an agent that is gone or left keeps its id, in ms of fleet time, from 1 s: an hour outlasts the
    repair of a machine."""

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
        return Rules(interval=self.heartbeat_interval_ms, retention=self.retention_ms)


class RegistryProcessSettings(ProcessSettings):
    """A process that runs the registry alone."""

    registry: RegistrySettings = RegistrySettings()
    """The registry itself."""
