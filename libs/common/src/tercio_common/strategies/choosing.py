"""Built-in strategies for what something is taken from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tercio_common.strategies.protocol import Candidate, Choosing, Rank, Wish

_URGENT: Final = 5
"""From this priority on somebody gets the best there is: the upper half of ten priorities."""


def first_fit(_candidate: Candidate, _wish: Wish) -> Rank:
    """Take the first by name."""
    return ()


def best_fit(candidate: Candidate, _wish: Wish) -> Rank:
    """Take from where least is left, so that large amounts still find room."""
    return (candidate.room,)


def worst_fit(candidate: Candidate, _wish: Wish) -> Rank:
    """Take from where most is left, so that whoever holds something can grow."""
    return (-candidate.room,)


def load_balanced(candidate: Candidate, _wish: Wish) -> Rank:
    """Take from where the smallest part is in use."""
    return (_load(candidate),)


def round_robin(candidate: Candidate, _wish: Wish) -> Rank:
    """Take from each in turn."""
    return (candidate.turn,)


def priority(candidate: Candidate, wish: Wish) -> Rank:
    """Give the urgent what fails least and has most left; fill the others up best-fit with what the urgent leave."""
    if wish.priority >= _URGENT:
        return (candidate.failing, -candidate.room)
    return (-candidate.failing, candidate.room)


def adaptive(candidate: Candidate, _wish: Wish) -> Rank:
    """Weigh what fails lately against what is in use: a candidate that fails is left alone until others are full."""
    return (candidate.failing + _load(candidate), candidate.turn)


def historical(candidate: Candidate, _wish: Wish) -> Rank:
    """Take from what has failed least over all time; of who is hardly known, one in two is expected to fail."""
    return ((candidate.failed + 1) * 1_000 // (candidate.ended + 2), candidate.room)


BUILT_IN: Final[Mapping[str, Choosing]] = MappingProxyType(
    {
        each.__name__: each
        for each in (adaptive, best_fit, first_fit, historical, load_balanced, priority, round_robin, worst_fit)
    }
)


def _load(candidate: Candidate) -> int:
    """Return which part is in use, in thousandths."""
    return 1_000 - candidate.room * 1_000 // max(1, candidate.size)
