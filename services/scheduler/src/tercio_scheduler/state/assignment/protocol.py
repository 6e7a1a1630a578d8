"""What a strategy of assignment is: a rank of agents, asked anew after each attempt that an agent is given."""

from __future__ import annotations

from typing import Protocol

from tercio_scheduler.state.rows import Requirement, TaskRow
from tercio_scheduler.state.session import AgentLink


class Seat:
    """One agent while attempts are handed out.

    Attributes:
        link: the agent.
        held: attempts that it holds, with those given just now.
        room: how many more it may be given.
        rows: the tasks given just now.
    """

    __slots__ = ("held", "link", "room", "rows")

    def __init__(self, link: AgentLink, *, held: int, room: int) -> None:
        """Start with nothing given."""
        self.link = link
        self.held = held
        self.room = room
        self.rows: list[TaskRow] = []


class Strategy(Protocol):
    """Chooses among agents that are able to run a task; that they are is settled before."""

    def rank(self, seat: Seat, requirement: Requirement) -> float:
        """Return the seat's rank: the lowest is given the next task. It must not fall when a seat is given a task."""
        ...
