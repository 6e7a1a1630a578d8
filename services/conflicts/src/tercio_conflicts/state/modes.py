"""What two owners may hold of one thing at the same time."""

from __future__ import annotations

from enum import IntEnum


class Mode(IntEnum):
    """The mode of a claim; the numbers are those of the contract."""

    SHARED = 1
    INTENT = 2
    EXCLUSIVE = 3


def compatible(one: Mode, other: Mode) -> bool:
    """Tell whether two owners may hold a thing in these modes: who edits is alone, all else is for many."""
    return one is not Mode.EXCLUSIVE and other is not Mode.EXCLUSIVE
