"""Arrivals are noted interval by interval, whoever leads, and what is foreseen from them is shown beside what came."""

from __future__ import annotations

from math import pi, sin

import pytest

from support.scaling_machine import QUICK, Played, row
from tercio_common.epochs import Epoch
from tercio_scaling.state.forecasting import INTERVAL_MS, SEASON
from tercio_scaling.state.foresight import foresight
from tercio_scaling.state.rows import ArrivalsRow, EventKind
from tercio_scaling.translate.forecasts import forecast_message


def begun() -> Played:
    played = Played()
    played.apply(row(QUICK._replace(most=200, up_step=200)))
    played.drive()
    played.start()
    played.look()
    return played


def interval(played: Played, tasks: int) -> None:
    """Let so many tasks come in one interval."""
    played.arrived += tasks
    played.later(INTERVAL_MS)
    played.look()


def wave(number: int) -> int:
    """Return how many tasks come in an interval, twelve times a day as many as at first."""
    return round(250 + 150 * sin(2 * pi * number / 24))


def known(played: Played) -> ArrivalsRow:
    found: ArrivalsRow = played.tables.arrivals["p"]
    return found


def test_each_interval_is_noted_once_with_what_came() -> None:
    played = begun()
    for tasks in (100, 200, 300):
        interval(played, tasks)
    assert [each.actual for each in known(played).past] == [100, 200, 300]
    assert known(played).arrivals.noted == 3


def test_the_season_stays_that_of_the_day_when_nobody_leads_for_a_while() -> None:
    played = begun()
    interval(played, 100)
    before = known(played).until
    played.later(3 * INTERVAL_MS)
    played.watched, played.arrived, played.epoch = 0, 0, Epoch(1, 8)
    played.look()
    assert known(played).until == before + 3
    assert [each.actual for each in known(played).past] == [100] * 4
    played.later(10 * SEASON * INTERVAL_MS)
    played.watched = 0
    played.look()
    assert known(played).until == before + 3 + 10 * SEASON
    assert known(played).arrivals.noted == 4


def test_a_leader_that_came_in_the_middle_counts_what_it_saw() -> None:
    played = begun()
    interval(played, 100)
    played.later(INTERVAL_MS // 4)
    played.watched, played.arrived, played.epoch = 0, 0, Epoch(1, 8)
    for _ in range(3):
        played.arrived += 100
        played.later(INTERVAL_MS // 4)
        played.look()
    assert known(played).past[-1].actual == 400


def test_a_moment_without_sight_does_not_make_what_came_seem_more() -> None:
    played = begun()
    interval(played, 100)
    played.later(INTERVAL_MS * 2 // 5)
    played.watched = 0  # the counts of the scheduler go on
    played.arrived += 100
    played.later(INTERVAL_MS * 3 // 5)
    played.look()
    assert known(played).past[-1].actual == 100


def test_what_came_is_shown_beside_what_was_foreseen_and_agents_are_there_before_it_comes() -> None:
    played = begun()
    for number in range(SEASON + 36):
        interval(played, wave(number))
    shown = foresight(played.tables.pools["p"], played.at(), played.tables, played.session, intervals=3)
    message = forecast_message(shown)
    past = [point for point in message.points if point.HasField("actual_count")]
    coming = [point for point in message.points if not point.HasField("actual_count")]
    last = SEASON + 35
    assert [point.actual_count for point in past][-3:] == [wave(last - 2), wave(last - 1), wave(last)]
    assert past[-1].expected_count == pytest.approx(wave(last), abs=15)
    assert past[-1].plain_count == wave(last - 1)
    assert [point.expected_count for point in coming] == pytest.approx([wave(last + 1 + n) for n in range(3)], abs=15)
    assert coming[0].end_time.ToMilliseconds() - past[-1].end_time.ToMilliseconds() == INTERVAL_MS
    assert message.trusted
    assert message.mean_error < message.plain_mean_error
    assert message.seasonal
    # 60 s of each of the tasks that come in 5 min: as many slots will be busy, although nothing waits yet.
    assert message.foreseen_slots == pytest.approx(wave(last + 1) / 5, abs=3)
    assert "forecast" in {event.rule for event in played.told(EventKind.SCALED_UP)}


def test_a_forecast_that_does_no_better_than_the_last_value_is_not_heard() -> None:
    played = begun()
    for number in range(20):
        interval(played, 400 if number % 2 else 100)
    shown = foresight(played.tables.pools["p"], played.at(), played.tables, played.session, intervals=0)
    assert shown.trusted == (shown.known.error < shown.known.plain_error)
    assert shown.points[-1].actual == -1
