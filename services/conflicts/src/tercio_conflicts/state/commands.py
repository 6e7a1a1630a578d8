"""What can be asked about claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import ORDINARY, Terms
from tercio_conflicts.state.things import Thing


class Atomicity(IntEnum):
    """Which items of a batch belong together; the numbers are those of the contract."""

    ITEM = 1
    OWNER = 2
    BATCH = 3


class Item(NamedTuple):
    """One thing that an owner asks for."""

    owner: str
    thing: Thing
    mode: Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquire:
    """Grant claims, in columns: a single mode or owner is that of every thing.

    Attributes:
        arrival: of the ticket under which it waits; 0 for a call that just came.
        preempts: holders of lower priorities are asked to yield.
    """

    things: tuple[Thing, ...]
    modes: tuple[Mode, ...]
    owners: tuple[str, ...]
    atomicity: Atomicity = Atomicity.ITEM
    terms: Terms = ORDINARY
    preempts: bool = False
    arrival: int = 0

    def items(self) -> Iterator[Item]:
        """Give each item."""
        count = len(self.things)
        modes = self.modes if len(self.modes) == count else self.modes * count
        owners = self.owners if len(self.owners) == count else self.owners * count
        return map(Item, owners, self.things, modes)


@dataclass(frozen=True, slots=True)
class Release:
    """Release what owners hold, and bar them; release claims by their numbers, and bar nobody."""

    owners: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Hand claims of one owner to another; without numbers all of them."""

    from_owner: str
    to_owner: str
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRelease:
    """Ask the holders of claims to release them."""

    numbers: tuple[int, ...]
    asked_by: str
    priority: int = 0
    because: str = ""
