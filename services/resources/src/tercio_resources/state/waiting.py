"""Calls that wait for something to be given back: session state, lost with the leader, which ends the calls.

Who has waited for longer than the patience is passed by nobody: what is given back of the dimensions that it needs is
kept for it, also from calls that do not wait. Before that, smaller requests may pass a large one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tercio_common.errors import Refusal
from tercio_resources.state.commands import Allocate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ticket:
    """One call that waits.

    Attributes:
        command: what it wants.
        arrival: rises with the calls.
        since: fleet time in ms.
    """

    command: Allocate
    arrival: int
    since: int

    @property
    def priority(self) -> int:
        """Of its first item."""
        return self.command.specs[0].priority

    @property
    def tenant(self) -> str:
        """Of every item."""
        return self.command.specs[0].tenant

    @property
    def dimensions(self) -> frozenset[str]:
        """What it needs."""
        return frozenset(amount.dimension for spec in self.command.specs for amount in spec.amounts)


class Waiting:
    """Who waits at this leader."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._tickets: dict[int, Ticket] = {}
        self._arrivals = 0
        self.kept: frozenset[str] = frozenset()
        """Dimensions of which nothing is granted to who comes later."""

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._tickets)

    def __iter__(self) -> Iterator[Ticket]:
        """Give everybody who waits, in the order of arrival."""
        return iter(list(self._tickets.values()))

    def others(self, tenant: str) -> bool:
        """Tell whether somebody of another tenant waits."""
        return any(each.tenant != tenant for each in self._tickets.values())

    def enter(self, command: Allocate, now: int) -> Ticket:
        """Let a call wait.

        Raises:
            Refusal: QUEUE_FULL.
        """
        if len(self._tickets) >= self._most:
            message = f"{self._most} calls wait already; try again later, or without waiting"
            raise Refusal("QUEUE_FULL", message, retry_after_ms=1_000)
        self._arrivals += 1
        ticket = self._tickets[self._arrivals] = Ticket(command=command, arrival=self._arrivals, since=now)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """End the waiting of a call, which may have left before."""
        self._tickets.pop(ticket.arrival, None)
        if not self._tickets:
            self.kept = frozenset()
