"""Numbers in a choice: how much of what, and whether that is exact, the least or the most."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from tercio_conflicts.state.contradictions import cues
from tercio_conflicts.state.contradictions.words import Word, stem

_NUMBER: Final = re.compile(r"(?P<number>\d+(?:\.\d+)*)(?P<unit>[a-zµ]{0,8})")
_FIRST: Final = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_WORDS: Final = {name: number for number, name in enumerate(_FIRST)} | {
    "single": 1,
    "double": 2,
    "twice": 2,
    "dozen": 12,
}
_UNITS: Final[dict[str, tuple[str, float]]] = {
    "ms": ("time", 0.001),
    "millisecond": ("time", 0.001),
    "s": ("time", 1),
    "sec": ("time", 1),
    "second": ("time", 1),
    "min": ("time", 60),
    "minute": ("time", 60),
    "h": ("time", 3_600),
    "hour": ("time", 3_600),
    "d": ("time", 86_400),
    "day": ("time", 86_400),
    "week": ("time", 604_800),
    "month": ("time", 2_592_000),
    "year": ("time", 31_536_000),
    "b": ("bytes", 1),
    "byte": ("bytes", 1),
    "kb": ("bytes", 1 << 10),
    "kib": ("bytes", 1 << 10),
    "mb": ("bytes", 1 << 20),
    "mib": ("bytes", 1 << 20),
    "gb": ("bytes", 1 << 30),
    "gib": ("bytes", 1 << 30),
    "tb": ("bytes", 1 << 40),
    "%": ("percent", 1),
    "percent": ("percent", 1),
    "k": ("", 1_000),
}
_STEMS: Final = {stem(name): unit for name, unit in _UNITS.items()} | _UNITS
_BEFORE: Final = 5
"""Words before a number in which `at least` and the like are looked for."""
_AFTER: Final = 4
_LABELS: Final = frozenset({"rfc", "iso", "issue", "ticket", "pr", "step", "phase"})
"""A number after one of these is a name."""


class Bound(IntEnum):
    """What a number is."""

    EXACT = 0
    LEAST = 1
    MOST = 2


class Quantity(NamedTuple):
    """A number in base units; one with several points, as a version, is compared part by part."""

    value: tuple[float, ...]
    dimension: str
    bound: Bound

    def excludes(self, other: Quantity) -> bool:
        """Tell whether both cannot be what somebody chose; two different limits of one thing cannot."""
        if self.dimension != other.dimension:
            return False
        if self.bound == other.bound:
            return self.value != other.value
        if Bound.EXACT in {self.bound, other.bound}:
            exact, limit = (self, other) if self.bound is Bound.EXACT else (other, self)
            return exact.value < limit.value if limit.bound is Bound.LEAST else exact.value > limit.value
        least, most = (self, other) if self.bound is Bound.LEAST else (other, self)
        return least.value > most.value


def quantities_of(
    words: Sequence[Word], start: int, end: int, *, skip: Collection[int]
) -> tuple[tuple[Quantity, ...], set[int]]:
    """Return the quantities between two words, and the words that express them."""
    found: list[Quantity] = []
    used: set[int] = set()
    for index in range(start, end):
        if index in skip or (index > start and words[index - 1].text in _LABELS):
            continue
        number = _number(words[index].text)
        if number is None:
            continue
        value, unit = number
        used.add(index)
        if not unit and index + 1 < end and (words[index + 1].text in _UNITS or words[index + 1].stem in _STEMS):
            unit = words[index + 1].stem if words[index + 1].stem in _STEMS else words[index + 1].text
            used.add(index + 1)
        dimension, factor = _STEMS.get(unit, ("", 1))
        value = (value[0] * factor,) if factor != 1 or dimension else value
        bound, said = _bound(words, start, index, end)
        used |= said
        found.append(Quantity(value, dimension, bound))
    return tuple(found), used


def _number(text: str) -> tuple[tuple[float, ...], str] | None:
    if text in _WORDS:
        return (float(_WORDS[text]),), ""
    match = _NUMBER.fullmatch(text)
    if match is None or (match["unit"] and match["unit"] not in _UNITS):
        return None
    if match["unit"]:
        parts = match["number"].split(".")
        return (float(".".join(parts[:2])),), match["unit"]
    return tuple(map(float, match["number"].split("."))), ""


def _bound(words: Sequence[Word], start: int, index: int, end: int) -> tuple[Bound, set[int]]:
    """Return what the words about a number say of it, and which they are."""
    first = max(start, index - _BEFORE)
    stems = [word.stem for word in words[first : min(end, index + _AFTER)]]
    for bound, phrases in ((Bound.LEAST, cues.LEAST), (Bound.MOST, cues.MOST)):
        for phrase in phrases:
            for at in range(len(stems) - len(phrase) + 1):
                if tuple(stems[at : at + len(phrase)]) == phrase:
                    return bound, set(range(first + at, first + at + len(phrase)))
    return Bound.EXACT, set()
