"""Scopes: where a decision holds. Paths may be globs; anything else is the name of a component; empty is everywhere."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Final

from tercio_conflicts.state.contradictions.words import stems_of
from tercio_conflicts.state.globs import BadPatternError, intersects

_WILD: Final = "*?["
_EVERYWHERE: Final = frozenset({"*", "**", "."})


class Relation(IntEnum):
    """How two scopes lie to each other."""

    APART = 0
    NESTED = 1
    SAME = 2


@lru_cache(maxsize=8_192)
def relation(one: str, other: str) -> Relation:
    """Return how two scopes lie to each other. Globs that have a path in common are nested."""
    first, second = _plain(one), _plain(other)
    if first == second:
        return Relation.SAME
    if not first or not second:
        return Relation.NESTED
    if _is_path(first) and _is_path(second):
        return Relation.NESTED if _meet(first, second) else Relation.APART
    if _is_path(first) or _is_path(second):
        path, name = (first, second) if _is_path(first) else (second, first)
        return Relation.NESTED if stems_of(name) in map(stems_of, path.split("/")) else Relation.APART
    return Relation.SAME if stems_of(first) == stems_of(second) else Relation.APART


def _plain(scope: str) -> str:
    """Return a scope without what says only which sort of scope it is, as `component:`."""
    name = scope.strip().casefold().rpartition(":")[2]
    return "" if name in _EVERYWHERE else name.removeprefix("./").strip("/ ")


def _is_path(scope: str) -> bool:
    return "/" in scope or any(mark in scope for mark in _WILD)


def _meet(one: str, other: str) -> bool:
    """Tell whether a path can be in both; a folder stands for all that is in it."""
    firsts, seconds = _patterns(one), _patterns(other)
    try:
        return any(intersects(first, second) for first in firsts for second in seconds)
    except BadPatternError:
        return False


def _patterns(path: str) -> list[str]:
    last = path.rpartition("/")[2]
    return [path] if "." in last or any(mark in last for mark in _WILD) else [path, f"{path}/**"]
