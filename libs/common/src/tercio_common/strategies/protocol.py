"""What a strategy is: a pure function that ranks, the lowest first.

Whoever uses one asks it for the rank of each of a few things and takes the lowest; of equal ranks the first by name.
What a strategy may learn from stands in the candidates, which are rows of the service's own tables: so a strategy keeps
nothing itself, and another replica ranks alike.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

Rank = tuple[float, ...]


class Candidate(NamedTuple):
    """One thing that can be chosen: a pool, or an agent.

    Attributes:
        name: its id.
        room: what is left of it, in the unit of what is asked for.
        size: what it has in all.
        turn: when it was chosen last, as a number that rises with every choice; 0 for never.
        ended: how much of what it was chosen for has ended.
        failed: how much of that failed.
        failing: which part failed lately, in thousandths.
    """

    name: str
    room: int
    size: int
    turn: int = 0
    ended: int = 0
    failed: int = 0
    failing: int = 0


class Wish(NamedTuple):
    """What a candidate is chosen for: how much is asked, and at which priority, from 0 to 9."""

    amount: int
    priority: int = 0


class Waiter(NamedTuple):
    """Somebody who waits.

    Attributes:
        priority: as raised by waiting.
        share: the dominant share of its tenant, from 0.
        arrival: rises with whoever comes.
    """

    priority: int
    share: float
    arrival: int


class Choosing(Protocol):
    """Ranks what something can be taken from; only candidates with enough room are ranked."""

    def __call__(self, candidate: Candidate, wish: Wish, /) -> Rank:
        """Return the rank of a candidate."""
        ...


class Sharing(Protocol):
    """Ranks who waits for the same thing."""

    def __call__(self, waiter: Waiter, /) -> Rank:
        """Return the rank of somebody who waits."""
        ...
