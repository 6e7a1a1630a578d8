"""Whether claims were kept: G5, and G6 for claims, judged from the records and from what holders were told.

What overlaps is decided here by another way than the service's: a file is matched against a glob by a regular
expression, and two globs by a path that is made of one of them. That finds no overlap that is none, though not every
one; a run that is to be judged claims globs of whole folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from tercio_common.testing.history.checks import Check, Entry
from tercio_common.testing.history.facts import Decode, decoder
from tercio_common.testing.history.grants import GrantCheck, GrantsAreDurable, Nouns, ReleasedOnce, TokensRise

CLAIMS: Final = Nouns("G5", "claim", "ClaimsGranted", "ClaimsReleased", "ClaimsTransferred", "things")
_EXCLUSIVE: Final = "EXCLUSIVE"


def claim_checks(decode: Decode | None = None) -> list[Check]:
    """Return every check of claims, with nothing seen yet; by default with the service's own decoder."""
    decode = decode or decoder("conflicts")
    return [kind(decode, CLAIMS) for kind in (NeverIncompatible, TokensRise, ReleasedOnce, GrantsAreDurable)]


class NeverIncompatible(GrantCheck):
    """G5: at no grant or transfer does another owner hold what is incompatible."""

    def __init__(self, decode: Decode, nouns: Nouns) -> None:
        """See `GrantCheck`."""
        super().__init__(decode, nouns)
        self._held: dict[int, tuple[str, Any, str]] = {}

    def follow(self, name: str, event: Any, entry: Entry) -> Iterator[str]:
        if name == self.nouns.granted:
            for index, (number, owner) in enumerate(self.owners(event, entry)):
                mode = event.modes[index if len(event.modes) > 1 else 0]
                self._held[number] = owner, event.things[index], mode.name
                yield from self._judged(number)
        elif name == self.nouns.released:
            for number in event.numbers:
                self._held.pop(number, None)
        elif name == self.nouns.transferred:
            for number in event.numbers:
                _, thing, mode = self._held[number]
                self._held[number] = event.to_owner, thing, mode
            for number in event.numbers:
                yield from self._judged(number)

    def _judged(self, number: int) -> Iterator[str]:
        owner, thing, mode = self._held[number]
        for other, (holder, held, held_mode) in self._held.items():
            if holder != owner and _EXCLUSIVE in (mode, held_mode) and _overlap(thing, held):
                yield (
                    f"{owner} has claim {number} on {thing.name} ({mode}) while {holder} has claim {other} on "
                    f"{held.name} ({held_mode})"
                )


def _overlap(one: Any, other: Any) -> bool:
    if one.scope != other.scope:
        return False
    if one.kind.name == other.kind.name != "GLOB":
        return bool(one.name == other.name)
    if not {one.kind.name, other.kind.name} <= {"FILE", "GLOB"}:
        return False
    return one.name == other.name or _some_path_of(one) in _paths(other) or _some_path_of(other) in _paths(one)


class _Paths:
    """The paths that are a thing."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)

    def __contains__(self, path: str) -> bool:
        return self._pattern.fullmatch(path) is not None


def _paths(thing: Any) -> _Paths:
    return _compiled(thing.name, is_glob=thing.kind.name == "GLOB")


@lru_cache(maxsize=1_024)
def _compiled(name: str, *, is_glob: bool) -> _Paths:
    pattern = re.escape(name)
    if is_glob:
        pattern = pattern.replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return _Paths(pattern)


def _some_path_of(thing: Any) -> str:
    name: str = thing.name
    return name.replace("*", "x") if thing.kind.name == "GLOB" else name
