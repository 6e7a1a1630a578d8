"""Forecasts: heard only while they beat the guess that nothing changes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable

from tercio_scaling.state.forecasting import Arrivals, expected, noted, trusted

DAY = 48


def after(numbers: Iterable[int], *, ahead: int = 1) -> Arrivals:
    known = Arrivals()
    for number in numbers:
        known = noted(known, number, ahead=ahead, season=DAY)
    return known


def wave(place: int) -> int:
    return round(100 - 80 * math.cos(2 * math.pi * place / DAY))


def errors(numbers: list[int], *, ahead: int, guess: Callable[[Arrivals], float]) -> float:
    """Return the mean error over the last day of guesses made `ahead` intervals before."""
    known, found = Arrivals(), []
    for place, number in enumerate(numbers[:-ahead]):
        known = noted(known, number, ahead=ahead, season=DAY)
        if place >= len(numbers) - DAY - ahead:
            found.append(abs(guess(known) - numbers[place + ahead]))
    return sum(found) / len(found)


def test_a_daily_wave_is_foreseen_and_better_than_the_last_value() -> None:
    numbers = [wave(place) for place in range(4 * DAY)]
    known = after(numbers, ahead=4)
    assert trusted(known)
    modelled = errors(numbers, ahead=4, guess=lambda known: expected(known, 4, season=DAY))
    plain = errors(numbers, ahead=4, guess=lambda known: float(known.last))
    assert modelled < plain / 3


def test_noise_about_a_mean_is_smoothed() -> None:
    rng = random.Random(3)
    known = after(rng.randrange(80, 121) for _ in range(DAY))
    assert trusted(known)
    assert 85 < expected(known, 1, season=DAY) < 115


def test_what_only_jumps_is_not_foreseen() -> None:
    level, rng, numbers = 1_000, random.Random(5), []
    for _ in range(6 * DAY):
        level = max(0, level + rng.choice((-100, 100)))
        numbers.append(level)
    assert not trusted(after(numbers))


def test_nothing_is_heard_before_some_forecasts_were_compared() -> None:
    assert not trusted(after([90, 110] * 3))
    assert trusted(after([90, 110] * 4))


def test_what_is_kept_does_not_grow() -> None:
    known = after((wave(place) for place in range(10 * DAY)), ahead=3)
    assert (len(known.season), len(known.first), len(known.pending)) == (DAY, 0, 3)


def test_arrivals_are_never_foreseen_below_none() -> None:
    assert expected(after([900, 600, 300, 0, 0, 0]), 6, season=DAY) >= 0
