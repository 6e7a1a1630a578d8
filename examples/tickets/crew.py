"""Who works on the tickets: a dozen agents, each good at something else."""

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


CREW = (
    Member("ada", {"python": 90}),
    Member("bert", {"python": 90}),
    Member("cleo", {"python": 85, "contracts": 20}),
    Member("dag", {"python": 80, "lint": 10}),
    Member("edith", {"python": 70, "lint": 50}),
    Member("finn", {"python": 60, "docs": 10}),
    Member("gerda", {"python": 60, "contracts": 80}),
    Member("hugo", {"python": 30, "lint": 70}),
    Member("ines", {"python": 20, "docs": 80}),
    Member("jan", {"python": 20, "packaging": 40, "docs": 40}),
    Member("kira", {"python": 40, "packaging": 80}, slots=2),
    Member("leo", {"lint": 90, "docs": 30, "packaging": 60, "python": 10}),
)

ARCHITECT = "ines"
"""Is asked which of two decisions prevails; not one of those that are struck."""

DEAF = Member("zoe", {"python": 1, "docs": 90})
"""Takes a ticket that is not urgent, as the last of those that could, and hangs."""

PROBER = Member("yves", {})
"""Probes by the command that its configuration names, and takes no tickets."""
