"""The forecast of arrivals over any course of them, and backtests: what was foreseen is held against what then came.

A backtest goes through a series as the service does: before each interval the forecast says what it will bring, if it
is heard by then, and so does the plain guess that nothing changes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercio_scaling.state.forecasting import Arrivals, expected, noted, trusted

DAY = 48
DAYS = 6


class Backtest(NamedTuple):
    """Of the intervals after the first day: part in which the forecast was heard, and mean errors in those."""

    heard: float
    error: float
    plain: float


def backtest(numbers: list[int], *, ahead: int) -> Backtest:
    known, said, errors, judged = Arrivals(), dict[int, tuple[float, float]](), list[tuple[float, float]](), 0
    for place, number in enumerate(numbers):
        if place >= DAY:
            judged += 1
            if place in said:
                model, plain = said[place]
                errors.append((abs(model - number), abs(plain - number)))
        known = noted(known, number, ahead=ahead, season=DAY)
        if trusted(known):
            said[place + ahead] = expected(known, ahead, season=DAY), float(number)
    count = max(1, len(errors))
    return Backtest(len(errors) / judged, sum(e for e, _ in errors) / count, sum(p for _, p in errors) / count)


def wave(place: int, rng: random.Random) -> int:
    return max(0, round(200 - 150 * math.cos(2 * math.pi * place / DAY) + rng.gauss(0, 10)))


def two_shifts(place: int, rng: random.Random) -> int:
    hour = place % DAY * 24 // DAY
    return max(0, round((300 if hour in (9, 10, 11, 20, 21) else 60) + rng.gauss(0, 15)))


def growth(place: int, rng: random.Random) -> int:
    return max(0, round(100 + 4 * place + rng.gauss(0, 5)))


def noise(place: int, rng: random.Random) -> int:
    return max(0, round(rng.gauss(100, 20)))


def walks(seed: int) -> list[int]:
    rng, level, found = random.Random(seed), 1_000, list[int]()
    for _ in range(DAYS * DAY):
        level = max(0, level + rng.choice((-100, 100)))
        found.append(level)
    return found


def series(kind: Callable[[int, random.Random], int], seed: int) -> list[int]:
    rng = random.Random(seed)
    return [kind(place, rng) for place in range(DAYS * DAY)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("kind", "ahead", "better"),
    [
        pytest.param(wave, 1, 0.75, id="a daily wave, an interval ahead"),
        pytest.param(wave, 4, 0.4, id="a daily wave, four intervals ahead"),
        pytest.param(two_shifts, 2, 0.7, id="two shifts a day"),
        pytest.param(growth, 2, 1.0, id="growth"),
        pytest.param(noise, 1, 0.95, id="noise about a mean"),
    ],
)
def test_what_is_heard_was_better_than_the_last_value(
    kind: Callable[[int, random.Random], int], ahead: int, better: float, seed: int
) -> None:
    found = backtest(series(kind, seed), ahead=ahead)
    assert found.heard > 0.5
    assert found.error < better * found.plain


@pytest.mark.parametrize("seed", range(5))
def test_what_cannot_be_foreseen_is_seldom_heard_and_then_does_little_harm(seed: int) -> None:
    found = backtest(walks(seed), ahead=1)
    assert found.heard < 0.5
    assert found.heard * (found.error - found.plain) < 0.05 * found.plain


@given(st.lists(st.integers(0, 10**6), max_size=3 * DAY), st.integers(1, 12))
def test_any_course_of_arrivals_is_foreseen_soundly(numbers: list[int], ahead: int) -> None:
    known = Arrivals()
    for place, number in enumerate(numbers, 1):
        before = known
        known = noted(known, number, ahead=ahead, season=DAY)
        assert known == noted(before, number, ahead=ahead, season=DAY)
        assert (known.noted, known.last) == (place, number)
        assert len(known.pending) <= ahead
        assert len(known.season) + len(known.first) <= DAY
        assert known.compared == max(0, place - ahead)
        for later in (1, ahead, DAY):
            assert 0 <= expected(known, later, season=DAY) < math.inf
        assert not trusted(known) or (known.compared >= 6 and known.error < known.plain_error)


@given(st.integers(0, 10**6), st.integers(1, 12))
def test_what_never_changes_is_foreseen_and_the_plain_guess_is_as_good(number: int, ahead: int) -> None:
    known = Arrivals()
    for _ in range(2 * DAY):
        known = noted(known, number, ahead=ahead, season=DAY)
    assert expected(known, ahead, season=DAY) == pytest.approx(number)
    assert known.plain_error == 0
    assert not trusted(known)


@given(st.lists(st.integers(0, 1_000), min_size=2 * DAY, max_size=3 * DAY), st.integers(2, 50))
def test_ten_times_as_much_is_foreseen_of_ten_times_as_much(numbers: list[int], times: int) -> None:
    one, many = Arrivals(), Arrivals()
    for number in numbers:
        one = noted(one, number, ahead=2, season=DAY)
        many = noted(many, times * number, ahead=2, season=DAY)
    assert many.error == pytest.approx(times * one.error, abs=1e-6)
    assert expected(many, 2, season=DAY) == pytest.approx(times * expected(one, 2, season=DAY), abs=1e-6)


@given(st.integers(1, 10), st.integers(1, 10))
def test_a_start_up_time_that_changes_on_the_way_disturbs_nothing(before: int, after: int) -> None:
    known = Arrivals()
    for place in range(3 * DAY):
        known = noted(known, place % 7, ahead=before if place < DAY else after, season=DAY)
    assert len(known.pending) <= max(before, after)
    assert known.compared > DAY
