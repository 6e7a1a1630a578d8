"""Calls that wait for claims: session state, lost with the leader, which ends the calls.

They stand in one line: by priority, which rises by one for each span of ageing, then by arrival. Who comes later is
granted nothing that would be in the way of somebody before it in that line, so nobody is passed for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from tercio_common.errors import Refusal
from tercio_conflicts.state.commands import Acquire, Item
from tercio_conflicts.state.effort import UNBOUNDED, Effort
from tercio_conflicts.state.overlaps import Overlaps
from tercio_conflicts.state.things import Thing

MOST_ITEMS_WAITING: Final = 20_000
"""That calls may wait for in all: the leader looks at each whenever something is given back."""
_LAST = 2**63


class Place(NamedTuple):
    """A place in the line; the lower one goes first."""

    negative_priority: int
    arrival: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ticket:
    """One call that waits, for claims of one owner.

    Attributes:
        command: what it wants.
        arrival: rises with the calls.
        since: fleet time in ms.
    """

    command: Acquire
    arrival: int
    since: int

    @property
    def owner(self) -> str:
        """Who waits."""
        return self.command.owners[0]

    @property
    def priority(self) -> int:
        """As it was asked for, without what waiting added."""
        return self.command.terms.priority


class Waiting:
    """Who waits at this leader."""

    def __init__(self, *, most: int, ageing: int) -> None:
        """Let at most so many wait; each `ageing` ms raise a priority by one."""
        self._most, self._ageing = most, ageing
        self._tickets: dict[int, Ticket] = {}
        self._arrivals = self._count = 0
        self._items: Overlaps[tuple[int, Item]] = Overlaps()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._tickets)

    def __iter__(self) -> Iterator[Ticket]:
        """Give everybody who waits, in the order of arrival."""
        return iter(list(self._tickets.values()))

    def enter(self, command: Acquire, now: int) -> Ticket:
        """Let a call wait.

        Raises:
            Refusal: QUEUE_FULL.
        """
        items = dict.fromkeys(command.items())
        if len(self._tickets) >= self._most or self._count + len(items) > MOST_ITEMS_WAITING:
            message = (
                f"{len(self._tickets)} calls wait already, for {self._count} things; try again later, or do not wait"
            )
            raise Refusal("QUEUE_FULL", message, retry_after_ms=1_000)
        self._arrivals += 1
        command = replace(command, arrival=self._arrivals)
        ticket = self._tickets[self._arrivals] = Ticket(command=command, arrival=self._arrivals, since=now)
        self._count += len(items)
        for item in items:
            self._items.add(item.thing, (ticket.arrival, item))
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """End the waiting of a call, which may have left before."""
        if self._tickets.pop(ticket.arrival, None) is not None:
            items = dict.fromkeys(ticket.command.items())
            self._count -= len(items)
            for item in items:
                self._items.remove(item.thing, (ticket.arrival, item))

    def in_line(self, now: int) -> list[Ticket]:
        """Return everybody who waits, the first to be served first."""
        return sorted(self._tickets.values(), key=lambda ticket: self._place(ticket, now))

    def place_of(self, command: Acquire, now: int) -> Place:
        """Return the place of a call that waits, or of one that just came."""
        ticket = self._tickets.get(command.arrival)
        return self._place(ticket, now) if ticket is not None else fresh_place(command.terms.priority)

    def before(self, place: Place, thing: Thing, now: int, effort: Effort) -> Iterator[tuple[Ticket, Item]]:
        """Give who stands before a place and waits for what overlaps a thing, and each such item of theirs."""
        for ticket, item in self.on(thing, effort):
            if self._place(ticket, now) < place:
                yield ticket, item

    def on(self, thing: Thing, effort: Effort = UNBOUNDED) -> Iterator[tuple[Ticket, Item]]:
        """Give who waits for what overlaps a thing, and each such item of theirs."""
        for arrival, item in self._items.of(thing, effort):
            yield self._tickets[arrival], item

    def _place(self, ticket: Ticket, now: int) -> Place:
        return Place(-(ticket.priority + (now - ticket.since) // self._ageing), ticket.arrival)


def fresh_place(priority: int) -> Place:
    """Return the place of a call that does not wait: after everybody of its priority."""
    return Place(-priority, _LAST)
