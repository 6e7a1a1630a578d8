from __future__ import annotations

import pytest

from tercio.prefetch import Credit, prefetch_for


@pytest.mark.parametrize(
    ("mean_run_micros", "concurrency", "wanted"),
    [
        pytest.param(None, 8, 0, id="nothing is measured yet"),
        pytest.param(1_000.0, 4, 200, id="50 ms of work for all slots"),
        pytest.param(3.0, 4, 512, id="never more than 512"),
        pytest.param(0.0, 1, 512, id="a run too short to measure"),
        pytest.param(50_000.0, 1, 1, id="one slot, 50 ms"),
        pytest.param(60_000_000.0, 100, 0, id="long tasks are not hoarded"),
    ],
)
def test_prefetch_is_the_work_of_the_next_50_ms(mean_run_micros: float | None, concurrency: int, wanted: int) -> None:
    assert prefetch_for(mean_run_micros, concurrency=concurrency) == wanted


def test_credit_starts_at_concurrency_and_grows_with_short_runs() -> None:
    credit = Credit(concurrency=4)
    assert credit.announce() == 4
    assert credit.change() == 0
    credit.observe(1_000)
    assert credit.change() == 204
    assert credit.change() == 0, "told once"


def test_credit_follows_runs_that_become_longer() -> None:
    credit = Credit(concurrency=1)
    credit.observe(10)
    credit.announce()
    for _ in range(60):
        credit.observe(1_000_000)
    assert credit.change() == 1


def test_small_moves_of_credit_are_not_told() -> None:
    credit = Credit(concurrency=100)
    credit.observe(50_000)
    assert credit.announce() == 200
    for _ in range(50):
        credit.observe(52_000)
    assert credit.change() == 0
