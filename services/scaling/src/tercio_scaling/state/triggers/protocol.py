"""What a trigger is: a name, and what it says of an observation.

Triggers say how many agents they would have. The highest word counts, so all of them must agree before one leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool


class Proposal(NamedTuple):
    """What a trigger would have.

    Attributes:
        trigger: its name.
        agents: how many it would have.
        why: a sentence for people.
        yields: it only holds what is there, and gives way to sustained low demand.
        least: how many it needs even then.
    """

    trigger: str
    agents: int
    why: str
    yields: bool = False
    least: int = 0


Trigger: TypeAlias = Callable[[AgentPool, Observation], Proposal | None]
"""A pure function; None says that it has nothing to say."""


def agents_for(slots: int, pool: AgentPool) -> int:
    """Return how many agents have that many slots."""
    return -(-slots // pool.slots)
