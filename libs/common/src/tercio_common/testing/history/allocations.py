"""Whether pools were kept: G4 and G6 for allocations, judged from the records and from what holders were told.

The events are decoded by the service's own decoder and told apart by the name of their type. Sums are the checks' own,
so that they need not trust the service's idea of what is granted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from tercio_common.testing.history.checks import Check, Entry
from tercio_common.testing.history.facts import Decode, decoder
from tercio_common.testing.history.grants import (
    NUMBERS_A_RECORD,
    GrantCheck,
    GrantsAreDurable,
    Nouns,
    ReleasedOnce,
    TokensRise,
)

ALLOCATIONS: Final = Nouns(
    "G4", "allocation", "AllocationsGranted", "AllocationsReleased", "AllocationsTransferred", "owners"
)


def allocation_checks(decode: Decode | None = None) -> list[Check]:
    """Return every check of allocations, with nothing seen yet; by default with the service's own decoder."""
    decode = decode or decoder("resources")
    return [kind(decode, ALLOCATIONS) for kind in (NeverOverCapacity, TokensRise, ReleasedOnce, GrantsAreDurable)]


class NeverOverCapacity(GrantCheck):
    """G4: at no grant is more granted than the pool has, reserve apart, nor anything of a pool that is fenced."""

    def __init__(self, decode: Decode, nouns: Nouns) -> None:
        """See `GrantCheck`."""
        super().__init__(decode, nouns)
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


def _granted(event: Any, entry: Entry) -> Iterator[tuple[int, str, Any]]:
    """Give number, owner and lot of each item."""
    first = entry.record.seq * NUMBERS_A_RECORD
    for offset, owner in enumerate(event.owners):
        yield first + offset, owner, event.lots[event.indexes[offset] if event.indexes else 0]
