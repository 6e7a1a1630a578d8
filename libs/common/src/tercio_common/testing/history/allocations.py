"""Whether pools were kept: G4 and G6 for allocations, judged from the records and from what holders were told.

The events are decoded by the service's own decoder and told apart by the name of their type. Sums are the checks' own,
so that they need not trust the service's idea of what is granted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from tercio_common.epochs import NO_EPOCH, Epoch
from tercio_common.testing.history.checks import Check, Entry
from tercio_common.testing.history.facts import Decode, decoder
from tercio_common.testing.history.recording import HELD, RELEASED, Observation

_NUMBERS_A_RECORD: Final = 1_024


def allocation_checks(decode: Decode | None = None) -> list[Check]:
    """Return every check of allocations, with nothing seen yet; by default with the service's own decoder."""
    decode = decode or decoder("resources")
    return [NeverOverCapacity(decode), TokensRise(decode), ReleasedOnce(decode), GrantsAreDurable(decode)]


class _Allocations:
    """What every check here needs: the events of a record."""

    def __init__(self, decode: Decode) -> None:
        """Decode events with `decode`."""
        self._decode = decode

    def see(self, entry: Entry) -> Iterator[str]:
        for data in entry.record.events:
            event = self._decode(data)
            yield from self.follow(type(event).__name__, event, entry)

    def follow(self, name: str, event: Any, entry: Entry) -> Iterable[str]:
        """Follow one event; give what is wrong with it."""
        raise NotImplementedError

    def end(self, observations: Sequence[Observation]) -> Iterable[str]:
        return ()


class NeverOverCapacity(_Allocations):
    """G4: at no grant is more granted than the pool has, reserve apart, nor anything of a pool that is fenced."""

    promise = "G4"

    def __init__(self, decode: Decode) -> None:
        """See `_Allocations`."""
        super().__init__(decode)
        self._pools: dict[str, Any] = {}
        self._parts: dict[int, Any] = {}
        self._granted = Counter[str]()

    def follow(self, name: str, event: Any, entry: Entry) -> Iterator[str]:
        if name == "PoolsSet":
            self._pools.update((row.pool_id, row) for row in event.rows)
        elif name == "AllocationsGranted":
            for number, _, lot in _granted(event, entry):
                self._parts[number] = lot.parts
                for part in lot.parts:
                    self._granted[part.pool_id] += part.amount
                    yield from self._judged(part.pool_id, lot.emergency, number)
        elif name == "AllocationsReshaped":
            for number, lot in zip(event.numbers, event.lots, strict=True):
                before = {part.pool_id: part.amount for part in self._parts.get(number, ())}
                self._give_back(number)
                self._parts[number] = lot.parts
                for part in lot.parts:
                    self._granted[part.pool_id] += part.amount
                    if part.amount > before.get(part.pool_id, 0):
                        yield from self._judged(part.pool_id, lot.emergency, number)
        elif name == "AllocationsReleased":
            for number in event.numbers:
                self._give_back(number)

    def _give_back(self, number: int) -> None:
        for part in self._parts.pop(number, ()):
            self._granted[part.pool_id] -= part.amount

    def _judged(self, pool_id: str, emergency: bool, number: int) -> Iterator[str]:
        pool = self._pools[pool_id]
        most = pool.capacity - (0 if emergency else pool.reserve)
        if pool.fenced:
            yield f"allocation {number} is from pool {pool_id}, which was fenced"
        if self._granted[pool_id] > most:
            yield f"with allocation {number}, {self._granted[pool_id]} of pool {pool_id} are granted, which has {most}"


class TokensRise(_Allocations):
    """G4: of two holders the later one has the higher fencing token."""

    promise = "G4"

    def __init__(self, decode: Decode) -> None:
        """See `_Allocations`."""
        super().__init__(decode)
        self._highest: tuple[Epoch, int] = NO_EPOCH, 0

    def follow(self, name: str, event: Any, entry: Entry) -> Iterator[str]:
        items = {"AllocationsGranted": "owners", "AllocationsTransferred": "numbers"}.get(name)
        if items is None:
            return
        first = entry.epoch, entry.record.seq * _NUMBERS_A_RECORD
        if first <= self._highest:
            where = f"record {entry.record.seq} of epoch {entry.epoch}"
            yield f"{where} gives tokens from {first[1]}, after {self._highest[1]} of epoch {self._highest[0]}"
        self._highest = entry.epoch, first[1] + len(getattr(event, items)) - 1


class ReleasedOnce(_Allocations):
    """G6: an allocation is released exactly once, and what its holder gave back is."""

    promise = "G6"

    def __init__(self, decode: Decode) -> None:
        """See `_Allocations`."""
        super().__init__(decode)
        self._held: set[int] = set()
        self._released: dict[int, int] = {}

    def follow(self, name: str, event: Any, entry: Entry) -> Iterator[str]:
        if name == "AllocationsGranted":
            self._held.update(number for number, _, _ in _granted(event, entry))
        elif name == "AllocationsReleased":
            for number in event.numbers:
                if number in self._released:
                    yield f"allocation {number} is released by records {self._released[number]} and {entry.record.seq}"
                elif number not in self._held:
                    yield f"allocation {number} is released by record {entry.record.seq}, and was never granted"
                self._released[number] = entry.record.seq

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        for one in observations:
            if one.kind == RELEASED and int(one.subject) not in self._released:
                yield f"allocation {one.subject} was given back, as its holder was told, and is not released"


class GrantsAreDurable(_Allocations):
    """G4: what a holder was told to have is granted to it in the journal."""

    promise = "G4"

    def __init__(self, decode: Decode) -> None:
        """See `_Allocations`."""
        super().__init__(decode)
        self._owners: dict[int, str] = {}

    def follow(self, name: str, event: Any, entry: Entry) -> Iterable[str]:
        if name == "AllocationsGranted":
            self._owners.update((number, owner) for number, owner, _ in _granted(event, entry))
        return ()

    def end(self, observations: Sequence[Observation]) -> Iterator[str]:
        for one in observations:
            if one.kind == HELD and self._owners.get(int(one.subject)) != one.state:
                yield f"{one.state} was told to hold allocation {one.subject}, which the journal does not grant to it"


def _granted(event: Any, entry: Entry) -> Iterator[tuple[int, str, Any]]:
    """Give number, owner and lot of each item."""
    first = entry.record.seq * _NUMBERS_A_RECORD
    for offset, owner in enumerate(event.owners):
        yield first + offset, owner, event.lots[event.indexes[offset] if event.indexes else 0]
