"""The settings of agents that run as processes of the service: section `scaling.local`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import Field, SecretStr

from tercio_common.settings import Section

GENERAL: Final = "TERCIO_ADDRESS"
"""One address for every service."""


class LocalSettings(Section):
    """How agents that run as processes of the service come and go."""

    agent_secret: SecretStr = SecretStr("")
    """What tells agents of this service from impostors, 16 to 128 bytes, as `TERCIO_AGENT_SECRET` tells each of them;
    drawn at each start if empty, and then agents that were killed with the service come back after their lease."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Added to the service's own environment for each agent. The addresses of the fleet's services are told anyway,
    unless `TERCIO_ADDRESS` is among these or those of the pool."""
    stop_grace_ms: int = Field(default=300_000, ge=0, le=86_400_000)
    """From SIGTERM to SIGKILL of an agent that is to leave, in ms, up to 1 day: as long as pools let an agent finish
    its work by default, because one that was not asked before may have some."""
    close_grace_ms: int = Field(default=5_000, ge=0, le=600_000)
    """The same when the service itself stops, in ms, up to 10 min: a process manager waits for 10 s or more."""
    restart_ms: int = Field(default=500, ge=10, le=600_000)
    """From an unexpected end to the next start, in ms, 10 ms to 10 min; doubles with each end that comes soon."""
    most_restart_ms: int = Field(default=30_000, ge=10, le=600_000)
    """The longest such wait, in ms, 10 ms to 10 min: a command that cannot start is still tried so often."""

    def reaching(self, addresses: Mapping[str, str]) -> LocalSettings:
        """Return these settings with the addresses of the fleet's services, by name, in the environment of agents."""
        if GENERAL in self.environment:
            return self
        told = {f"TERCIO_{name.upper()}_ADDRESS": address for name, address in addresses.items() if address}
        return self.model_copy(update={"environment": {**told, **self.environment}})
