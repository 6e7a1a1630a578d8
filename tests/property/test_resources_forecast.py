"""Forecasts of any samples: even growth is foreseen exactly, and nothing else breaks them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.resources_machine import CPU
from tercio_resources.state.forecast import HORIZON_MS, forecast
from tercio_resources.state.rows import Sample, SamplesRow


@given(start=st.integers(0, 500), step=st.integers(1, 20), gaps=st.lists(st.integers(1, 20), min_size=5, max_size=20))
def test_even_growth_is_foreseen_also_over_gaps(start: int, step: int, gaps: list[int]) -> None:
    times = [0]
    for gap in gaps:
        times.append(times[-1] + gap)
    samples = tuple(Sample(60_000 * time, start + step * time) for time in times)
    granted = samples[-1].granted
    pool = CPU._replace(capacity=granted + 1_000)
    found = forecast(pool, granted, SamplesRow("cpu", samples), samples[-1].now)
    assert found.growth == 60 * step
    assert found.exhausted_in == pytest.approx(60_000 * 1_000 / step, rel=1e-6, abs=2)


@given(
    amounts=st.lists(st.integers(0, 10**15), max_size=30),
    every=st.integers(1, HORIZON_MS),
    capacity=st.integers(0, 10**15),
    later=st.integers(0, HORIZON_MS),
)
def test_any_samples_give_a_time_within_the_horizon_or_none(
    amounts: list[int], every: int, capacity: int, later: int
) -> None:
    samples = tuple(Sample(index * every, amount) for index, amount in enumerate(amounts))
    now = len(samples) * every + later
    granted = amounts[-1] if amounts else 0
    found = forecast(CPU._replace(capacity=capacity), granted, SamplesRow("cpu", samples), now)
    assert found.exhausted_in is None or 0 <= found.exhausted_in <= HORIZON_MS
    assert (found.exhausted_in == 0) or granted < capacity
