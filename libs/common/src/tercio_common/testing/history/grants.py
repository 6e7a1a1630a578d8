"""What holds for everything that is granted to owners, allocations and claims alike: tokens rise, each ends once.

The events are decoded by the service's own decoder and told apart by the name of their type. What is granted is the
checks' own book, so that they need not trust the service's idea of it.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from tercio_common.epochs import NO_EPOCH, Epoch
from tercio_common.testing.history.checks import Entry
from tercio_common.testing.history.facts import Decode
from tercio_common.testing.history.recording import FENCED, HELD, RELEASED, Observation

NUMBERS_A_RECORD: Final = 1_024


class Nouns(NamedTuple):
    """How a service calls what it grants.

    Attributes:
        promise: under which grants are judged.
        noun: for people.
        granted, released, transferred: types of its events.
        items: field of a grant with one entry for each item.
    """

    promise: str
    noun: str
    granted: str
    released: str
    transferred: str
    items: str


class GrantCheck(abc.ABC):
    """What every check of grants needs: the events of a record."""

    def __init__(self, decode: Decode, nouns: Nouns) -> None:
        """Decode events with `decode`."""
        self._decode = decode
        self.nouns = nouns
        self.promise = nouns.promise

    def see(self, entry: Entry) -> Iterator[str]:
        for data in entry.record.events:
            event = self._decode(data)
            yield from self.follow(type(event).__name__, event, entry)

    @abc.abstractmethod
    def follow(self, name: str, event: Any, entry: Entry) -> Iterable[str]:
        """Follow one event; give what is wrong with it."""

    def end(self, observations: Sequence[Observation]) -> Iterable[str]:
        return ()

    def owners(self, event: Any, entry: Entry) -> Iterator[tuple[int, str]]:
        """Give number and owner of each item of a grant; a single owner has all of them."""
        first, count = entry.record.seq * NUMBERS_A_RECORD, len(getattr(event, self.nouns.items))
        for offset in range(count):
            yield first + offset, event.owners[offset if len(event.owners) > 1 else 0]


class TokensRise(GrantCheck):
    """Of two holders the later one has the higher fencing token, and each is told its own."""

    def __init__(self, decode: Decode, nouns: Nouns) -> None:
        """See `GrantCheck`."""
        super().__init__(decode, nouns)
        self._highest: tuple[Epoch, int] = NO_EPOCH, 0
        self._tokens: dict[tuple[str, str], set[int]] = {}

    def follow(self, name: str, event: Any, entry: Entry) -> Iterator[str]:
        first = entry.record.seq * NUMBERS_A_RECORD
        if name == self.nouns.granted:
            given = [(number, owner, number) for number, owner in self.owners(event, entry)]
        elif name == self.nouns.transferred:
            given = [(number, event.to_owner, first + offset) for offset, number in enumerate(event.numbers)]
        else:
            return
        if (entry.epoch, first) <= self._highest:
            where = f"record {entry.record.seq} of epoch {entry.epoch}"
            yield f"{where} gives tokens from {first}, after {self._highest[1]} of epoch {self._highest[0]}"
        self._highest = entry.epoch, first + len(given) - 1
        for number, owner, token in given:
            self._tokens.setdefault((str(number), owner), set()).add(token)

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        for one in observations:
            if one.kind == FENCED and one.seq not in self._tokens.get((one.subject, one.state), ()):
                what = f"token {one.seq} of {self.nouns.noun} {one.subject}"
                yield f"{one.state} was told {what}, which the journal does not give it"


class ReleasedOnce(GrantCheck):
    """G6: what is granted is released exactly once, and what its holder gave back is."""

    def __init__(self, decode: Decode, nouns: Nouns) -> None:
        """See `GrantCheck`."""
        super().__init__(decode, nouns)
        self._held: set[int] = set()
        self._released: dict[int, int] = {}
        self.promise = "G6"

    def follow(self, name: str, event: Any, entry: Entry) -> Iterator[str]:
        noun = self.nouns.noun
        if name == self.nouns.granted:
            self._held.update(number for number, _ in self.owners(event, entry))
        elif name == self.nouns.released:
            for number in event.numbers:
                if number in self._released:
                    yield f"{noun} {number} is released by records {self._released[number]} and {entry.record.seq}"
                elif number not in self._held:
                    yield f"{noun} {number} is released by record {entry.record.seq}, and was never granted"
                self._released[number] = entry.record.seq

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        for one in observations:
            if one.kind == RELEASED and int(one.subject) not in self._released:
                yield f"{self.nouns.noun} {one.subject} was given back, as its holder was told, and is not released"


class GrantsAreDurable(GrantCheck):
    """What a holder was told to have is granted to it in the journal."""

    def __init__(self, decode: Decode, nouns: Nouns) -> None:
        """See `GrantCheck`."""
        super().__init__(decode, nouns)
        self._owners: dict[int, list[str]] = {}

    def follow(self, name: str, event: Any, entry: Entry) -> Iterable[str]:
        if name == self.nouns.granted:
            self._owners.update((number, [owner]) for number, owner in self.owners(event, entry))
        elif name == self.nouns.transferred:
            for number in event.numbers:
                self._owners.setdefault(number, []).append(event.to_owner)
        return ()

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        for one in observations:
            if one.kind == HELD and one.state not in self._owners.get(int(one.subject), ()):
                noun = self.nouns.noun
                yield f"{one.state} was told to hold {noun} {one.subject}, which the journal does not grant to it"
