"""Grants: an item gets its claim if nothing is in its way, and a group of items all of theirs or none.

In the way is what another owner holds in an incompatible mode, and who waits for such a claim and stands before it in
the line. Only who already holds something that a waiting call needs may pass that call: it would wait for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from tercio_common.machine.protocol import Decision, Moment
from tercio_conflicts.state import yielding
from tercio_conflicts.state.commands import Acquire, Atomicity, Item
from tercio_conflicts.state.effort import Effort
from tercio_conflicts.state.events import ClaimEvent, ClaimsGranted
from tercio_conflicts.state.modes import compatible
from tercio_conflicts.state.overlaps import Overlaps
from tercio_conflicts.state.rows import NUMBERS_A_RECORD, Blocker, ClaimRow, Obstacle
from tercio_conflicts.state.rules import Rules
from tercio_conflicts.state.session import Session
from tercio_conflicts.state.tables import ConflictTables
from tercio_conflicts.state.waiting import Place, Ticket

MOST_NAMED: Final = 10
"""Blockers that are named of one item: enough to know whom to ask."""


class Granted(NamedTuple):
    """What became of a batch.

    Attributes:
        numbers: of each item, 0 when it was refused.
        obstacles: by item; without those that were refused because of others of their group.
        at: when it was decided.
    """

    numbers: Sequence[int]
    obstacles: dict[int, Obstacle]
    at: Moment


def acquire(command: Acquire, at: Moment, *, tables: ConflictTables, session: Session, rules: Rules) -> Decision:
    """Decide a batch; the reply is `Granted`.

    Raises:
        Refusal: REQUEST_TOO_LARGE.
    """
    place = session.waiting.place_of(command, at.now)
    ledger = Ledger(tables, session, rules, place=place, now=at.now, effort=Effort())
    items = list(command.items())
    obstacles: dict[int, Obstacle] = {}
    placed: list[int] = []
    for group in _groups(items, command.atomicity):
        refused = ledger.place_all((index, items[index]) for index in group)
        if refused:
            obstacles |= refused
        else:
            placed += group
    events: list[ClaimEvent] = []
    numbers = [0] * len(items)
    if placed:
        placed.sort()
        events.append(_granted(command, items, placed))
        for offset, index in enumerate(placed):
            numbers[index] = at.seq * NUMBERS_A_RECORD + offset
    if obstacles and command.preempts:
        obstacles, asked = yielding.make_way(obstacles, command, items, at, ledger=ledger, rules=rules)
        events += asked
    return Decision(events, Granted(numbers, obstacles, at), creates_work=bool(placed))


def rows_of(event: ClaimsGranted, at: Moment) -> Iterator[ClaimRow]:
    """Give the rows that a grant makes."""
    first, terms, epoch, now, wall = at.seq * NUMBERS_A_RECORD, event.terms, at.epoch, at.now, at.wall
    count = len(event.things)
    modes = event.modes if len(event.modes) == count else event.modes * count
    owners = event.owners if len(event.owners) == count else event.owners * count
    for number, owner, thing, mode in zip(range(first, first + count), owners, event.things, modes, strict=True):
        yield ClaimRow(number, owner, thing, mode, terms, number, epoch, now, wall)


class Ledger:
    """What is in the way while one command is decided: the tables, and what its items took so far."""

    def __init__(
        self, tables: ConflictTables, session: Session, rules: Rules, *, place: Place, now: int, effort: Effort
    ) -> None:
        """Begin with nothing taken, at that place in the line."""
        self._tables, self._session, self._rules, self._place, self._now = tables, session, rules, place, now
        self._taken: Overlaps[Item] = Overlaps()
        self._counts: dict[str, int] = {}
        self._effort = effort
        self._needed: dict[Ticket, frozenset[str]] = {}
        """Of calls that wait, the owners of what is in their way: a batch asks for each of its items."""

    def place_all(self, items: Iterable[tuple[int, Item]]) -> dict[int, Obstacle]:
        """Take a group of items, or none of them: then return what is in the way, by index."""
        obstacles: dict[int, Obstacle] = {}
        taken: dict[Item, None] = {}
        counted: list[str] = []
        for index, item in items:
            if (obstacle := self.obstacle(item)) is not None:
                obstacles[index] = obstacle
                continue
            counted.append(item.owner)
            self._counts[item.owner] = self._counts.get(item.owner, 0) + 1
            if item not in taken:
                taken[item] = None
                self._taken.add(item.thing, item)
        if obstacles:
            for item in taken:
                self._taken.remove(item.thing, item)
            for owner in counted:
                self._counts[owner] -= 1
        return obstacles

    def obstacle(self, item: Item) -> Obstacle | None:
        """Return why an item cannot be granted; an empty owner is nobody in particular."""
        owner = item.owner
        if owner in self._tables.tombstones:
            return Obstacle("OWNER_RELEASED")
        if len(self._tables.holdings.of(owner)) + self._counts.get(owner, 0) >= self._rules.owner_limit:
            return Obstacle("CLAIM_LIMIT_EXCEEDED")
        blockers = tuple(islice(self.blockers(item), MOST_NAMED))
        return Obstacle("CLAIM_CONFLICT", blockers) if blockers else None

    def blockers(self, item: Item) -> Iterator[Blocker]:
        """Give what is in the way of an item."""
        for row in self.holders(item):
            yield Blocker(row.number, row.owner, row.thing, row.mode)
        for other in self._taken.of(item.thing, self._effort):
            if exclude(item, other):
                yield Blocker(0, *other)
        if not len(self._session.waiting):
            return
        for ticket, wanted in self._session.waiting.before(self._place, item.thing, self._now, self._effort):
            if exclude(item, wanted) and not self._waits_for(ticket, item.owner):
                yield Blocker(0, *wanted)

    def holders(self, item: Item) -> Iterator[ClaimRow]:
        """Give the claims that are in the way of an item."""
        claims = self._tables.claims
        for number in self._tables.holdings.against(item.thing, item.mode, self._effort):
            row = claims[number]
            if row.owner != item.owner:
                yield row

    def _waits_for(self, ticket: Ticket, owner: str) -> bool:
        """Tell whether a call waits for what that owner holds."""
        if not self._tables.holdings.of(owner):
            return False
        holders = self._needed.get(ticket)
        if holders is None:
            wanted = ticket.command.items()
            holders = self._needed[ticket] = frozenset(row.owner for each in wanted for row in self.holders(each))
        return owner in holders


def exclude(one: Item, other: Item) -> bool:
    """Tell whether two items on things that overlap cannot both be granted."""
    return one.owner != other.owner and not compatible(one.mode, other.mode)


def _groups(items: Sequence[Item], atomicity: Atomicity) -> Iterable[Sequence[int]]:
    """Return the indexes of items that belong together."""
    if atomicity is Atomicity.BATCH:
        return (range(len(items)),)
    if atomicity is Atomicity.ITEM:
        return ((index,) for index in range(len(items)))
    groups: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        groups.setdefault(item.owner, []).append(index)
    return groups.values()


def _granted(command: Acquire, items: Sequence[Item], placed: Sequence[int]) -> ClaimsGranted:
    """Return the event, in which a column that is the same for all has one entry."""
    if len(placed) == len(items):
        return ClaimsGranted(command.terms, command.things, command.modes, command.owners)
    chosen = [items[index] for index in placed]
    return ClaimsGranted(
        command.terms,
        tuple(item.thing for item in chosen),
        command.modes if len(command.modes) == 1 else tuple(item.mode for item in chosen),
        command.owners if len(command.owners) == 1 else tuple(item.owner for item in chosen),
    )
