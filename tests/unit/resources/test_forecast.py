"""Forecasts: when a pool runs out, drawn from how much of it was granted."""

from __future__ import annotations

import pytest

from support.resources_machine import CPU, Driver
from tercio_resources.state.commands import DeletePool, SampleUse
from tercio_resources.state.forecast import HORIZON_MS, MOST_SAMPLES, Forecast, forecast
from tercio_resources.state.rows import Sample, SamplesRow

MINUTE = 60_000


def foresee(*granted: int, every: int = MINUTE, later: int = 0) -> Forecast:
    """Forecast the pool of 1,000 from samples; the last one is `later` ms ago."""
    samples = tuple(Sample(index * every, each) for index, each in enumerate(granted))
    return forecast(CPU, granted[-1], SamplesRow("cpu", samples), samples[-1].now + later)


def test_even_growth_reaches_the_capacity_when_it_should() -> None:
    found = foresee(0, 10, 20, 30, 40, 50)
    assert found.exhausted_in == pytest.approx(95 * MINUTE, abs=10)
    assert found.growth == 600
    assert foresee(0, 10, 20, 30, 40, 50, later=MINUTE).exhausted_in == pytest.approx(94 * MINUTE, abs=10)


def test_a_pool_whose_use_stays_or_shrinks_does_not_run_out() -> None:
    assert foresee(500, 500, 500, 500, 500).exhausted_in is None
    shrinking = foresee(900, 800, 700, 600, 500)
    assert shrinking.exhausted_in is None
    assert shrinking.growth < 0


def test_one_burst_is_forgotten() -> None:
    calm = foresee(100, 100, 100, 600, *[100] * 40)
    assert abs(calm.growth) < 60


def test_few_samples_foresee_nothing_but_what_is_full_already() -> None:
    assert foresee(0, 300, 600, 900) == Forecast(CPU, 1_000, 900, 0, None, 4)
    assert foresee(1_000).exhausted_in == 0


def test_what_is_too_far_away_is_not_foreseen() -> None:
    assert foresee(0, 1, 2, 3, 4, 5, every=HORIZON_MS // 500).exhausted_in is None


def test_the_reserve_is_not_counted_as_free() -> None:
    samples = SamplesRow("cpu", tuple(Sample(index * MINUTE, 10 * index) for index in range(6)))
    found = forecast(CPU._replace(reserve=450), 50, samples, 5 * MINUTE)
    assert (found.grantable, found.exhausted_in) == (550, pytest.approx(50 * MINUTE, abs=10))


def test_samples_are_bounded_survive_a_take_over_and_end_with_the_pool() -> None:
    driver = Driver()
    driver.do(SampleUse())
    driver.do(SampleUse())
    assert len(driver.machine.tables.samples["cpu"].samples) == 1
    for _ in range(MOST_SAMPLES + 3):
        driver.now += 1
        driver.do(SampleUse())
    driver.take_over()
    assert len(driver.machine.tables.samples["cpu"].samples) == MOST_SAMPLES
    driver.do(DeletePool("cpu"))
    assert not len(driver.machine.tables.samples)
