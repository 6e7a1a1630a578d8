"""Which fault begins when, and for how long: decided before the run, from the seed alone.

It promises every kind once before any comes a second time, no two at once on the same subject, and that the last one
is over when the time is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_FIRST_MS: Final = 500
"""Some work is under way before the first fault."""
_LONGEST_GAP_MS: Final = 2_000
_REST_MS: Final = 500
"""Between two faults on one subject, so that it does something in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of fault, as far as the schedule is concerned.

    Attributes:
        name: as on the command line.
        subject: what it is done to; empty when any number may be under way at once.
        hold_ms: shortest and longest time from injecting to healing.
    """

    name: str
    subject: str
    hold_ms: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One fault of a run.

    Attributes:
        at_ms: when it begins, from the start of the run.
        name: its kind.
        hold_ms: how long it lasts.
        seed: of the choices that it makes itself.
    """

    at_ms: int
    name: str
    hold_ms: int
    seed: int


def schedule(kinds: Sequence[Kind], *, seconds: float, seed: int) -> tuple[Planned, ...]:
    """Return the faults of a run in the order in which they begin.

    Args:
        kinds: to choose from; none gives a run without faults.
        seconds: how long the run lasts.
        seed: the same one gives the same faults.
    """
    rng = random.Random(seed)
    end_ms = round(seconds * 1000)
    gap_ms = min(_LONGEST_GAP_MS, (end_ms - _FIRST_MS) // (len(kinds) + 1))
    free_at: dict[str, int] = {}
    planned: list[Planned] = []
    at_ms = _FIRST_MS
    for kind in _shuffled_again_and_again(kinds, rng):
        begin_ms = max(at_ms, free_at.get(kind.subject, 0)) if kind.subject else at_ms
        hold_ms = rng.randint(*kind.hold_ms)
        if at_ms >= end_ms:
            break
        if begin_ms + hold_ms <= end_ms:
            planned.append(Planned(at_ms=begin_ms, name=kind.name, hold_ms=hold_ms, seed=rng.randrange(2**32)))
            free_at[kind.subject] = begin_ms + hold_ms + _REST_MS
        at_ms += max(1, rng.randint(gap_ms // 2, gap_ms))
    return tuple(sorted(planned, key=lambda one: one.at_ms))


def _shuffled_again_and_again(kinds: Sequence[Kind], rng: random.Random) -> Iterator[Kind]:
    while kinds:
        yield from rng.sample(kinds, len(kinds))
