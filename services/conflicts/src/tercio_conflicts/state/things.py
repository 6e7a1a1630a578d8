"""What can be claimed: anything with a name, in a scope."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tercio_conflicts.state.globs import intersects, matches


class Kind(IntEnum):
    """What sort of thing it is; the numbers are those of the contract."""

    FILE = 1
    GLOB = 2
    WORKTREE = 3
    BRANCH = 4
    SERVICE = 5
    TOPIC = 6
    OTHER = 7


class Thing(NamedTuple):
    """One thing. Things of different scopes never overlap."""

    kind: Kind
    scope: str
    name: str

    def __str__(self) -> str:
        where = f" in {self.scope}" if self.scope else ""
        return f"{self.kind.name.lower()} {self.name}{where}"


def overlap(one: Thing, other: Thing) -> bool:
    """Tell whether two things are the same, or some path belongs to both."""
    if one == other:
        return True
    if one.scope != other.scope or (one.kind is other.kind and one.kind is not Kind.GLOB):
        return False
    match one.kind, other.kind:
        case Kind.GLOB, Kind.FILE:
            return matches(one.name, other.name)
        case Kind.FILE, Kind.GLOB:
            return matches(other.name, one.name)
        case Kind.GLOB, Kind.GLOB:
            return intersects(one.name, other.name)
        case _:
            return False


def covers(claimed: Thing, thing: Thing) -> bool:
    """Tell whether who claims one thing may write another; a glob is covered by itself alone."""
    return claimed == thing or (thing.kind is Kind.FILE and overlap(claimed, thing))
