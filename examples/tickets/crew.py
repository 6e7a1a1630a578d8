"""Who works on the tickets: two pools of agents, each good at something else, and two agents that have a defect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """One agent.

    Attributes:
        name: its id.
        capabilities: level for each.
        slots: tickets at once.
    """

    name: str
    capabilities: Mapping[str, int]
    slots: int = 1

    def can_run(self, required: Mapping[str, int]) -> bool:
        """Tell whether the agent has at least these levels."""
        return all(self.capabilities.get(name, 0) >= level for name, level in required.items())


@dataclass(frozen=True, slots=True)
class Group:
    """One pool of agents.

    Attributes:
        name: its id; its agents are called after it.
        capabilities: level for each, of each of its agents.
        least: agents that are always there.
        most: agents that are never exceeded.
        step: most agents that one decision adds or removes.
    """

    name: str
    capabilities: Mapping[str, int]
    least: int
    most: int
    step: int

    def member(self, name: str) -> Member:
        """Return one of its agents."""
        return Member(name, self.capabilities)


GROUPS = (
    Group("coders", {"python": 90, "contracts": 80}, least=1, most=6, step=3),
    Group("keepers", {"python": 1, "lint": 90, "docs": 80, "packaging": 80}, least=1, most=4, step=2),
)
MOST = 8
"""Agents of both together, less than each could have beside the other: they share a budget."""

ARCHITECT = "coders-1"
"""Is asked which of two decisions prevails; not one of those that are struck."""

DEAF = Member("zoe", {"python": 1, "docs": 90})
"""Takes a ticket, and hangs; it comes when there are more than those for which everything else waits."""

PROBER = Member("yves", {})
"""Probes by the command that its configuration names, and takes no tickets."""


def group_of(name: str) -> Group:
    """Return the pool to which an agent belongs by its name."""
    return next(group for group in GROUPS if name.startswith(f"{group.name}-"))
