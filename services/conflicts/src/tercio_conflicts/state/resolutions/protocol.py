"""What a strategy is.

It plans; the machine acts. A plan changes claims and decisions of this service, asks the scheduler and agents for the
rest, and says when the conflict should be gone. Whether it is, is seen by the detector, not told by the strategy.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from tercio_conflicts.state.dispute_rows import ActionKind, ConflictRow
from tercio_conflicts.state.situation import Situation

NOT_APPLICABLE: Final = "Strategy not applicable"
SETTLING_MS: Final = 15_000
"""From what was asked of others to when its effect must show: three looks."""


class Action(NamedTuple):
    """Something that the scheduler is to do; as in `ActionRow`."""

    kind: ActionKind
    task_id: str = ""
    agent_id: str = ""
    after_task_id: str = ""
    priority: int = 0


class ReleaseWish(NamedTuple):
    """Ask the holder of a claim to release it."""

    number: int
    asked_by: str
    priority: int
    because: str


class Plan(NamedTuple):
    """What a strategy does.

    Attributes:
        message: for people.
        wait: ms within which the conflict must be gone.
        overrule: numbers of decisions that count no more.
        releases: of claims.
        actions: for the scheduler.
        ask: agents that are to say which decision prevails.
        access_order: who gets the thing, first to last.
        delay: ms until the first who waits gets it, as estimated.
        precedent: number of the decision that is to be an established choice.
        prevention: what keeps the conflict from coming again, for people.
    """

    message: str
    wait: int = SETTLING_MS
    overrule: tuple[int, ...] = ()
    releases: tuple[ReleaseWish, ...] = ()
    actions: tuple[Action, ...] = ()
    ask: tuple[str, ...] = ()
    access_order: tuple[str, ...] = ()
    delay: int = 0
    precedent: int = 0
    prevention: str = ""


class Rejected(NamedTuple):
    """Why a strategy cannot help."""

    message: str


class Counsel(NamedTuple):
    """Whom to ask: agents with these roles, or these agents; and for how long, in ms."""

    architect_role: str = "architect"
    architects: tuple[str, ...] = ()
    consultants: tuple[str, ...] = ()
    timeout: int = 300_000


class Strategy(Protocol):
    """Ends conflicts of some types."""

    name: str
    types: frozenset[str]

    def plan(self, conflict: ConflictRow, situation: Situation, counsel: Counsel) -> Plan | Rejected:
        """Return what to do. Called for a conflict of one of its types only."""
        ...


def planned(strategy: Strategy, conflict: ConflictRow, situation: Situation, counsel: Counsel) -> Plan | Rejected:
    """Return the plan of a strategy; one of the wrong type is not applicable."""
    if conflict.type not in strategy.types:
        return Rejected(NOT_APPLICABLE)
    return strategy.plan(conflict, situation, counsel)
