"""Who an agent is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

POOL_LABEL: Final = "tercio.dev/pool"
"""The label by which the scaling service knows the agents of a pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentIdentity:
    """Who the agent is, as it tells the registry and the scheduler.

    Attributes:
        agent_id: 1 to 128 characters of [A-Za-z0-9._-].
        instance_id: distinguishes this process from its former selves; 16 random bytes.
        capabilities: level per capability, 1 to 100.
        concurrency: attempts that run at once.
        agent_type: free name of the kind of agent.
        version: version of the agent's software.
        labels: for filters.
        resource_requirements: what is reserved for the agent, by dimension.
        max_resources: the most that it may use, by dimension.
    """

    agent_id: str
    instance_id: bytes
    capabilities: Mapping[str, int] = field(default_factory=dict)
    concurrency: int = 1
    agent_type: str = ""
    version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    resource_requirements: Mapping[str, int] = field(default_factory=dict)
    max_resources: Mapping[str, int] = field(default_factory=dict)
