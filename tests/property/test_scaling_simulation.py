"""The decisions, played over traces: what they cost beside a fixed fleet, the reactive rule and an oracle."""

from __future__ import annotations

import pytest

from tercio_scaling.simulation.report import POOL, compare, missed_bars
from tercio_scaling.simulation.traces import TRACES


@pytest.mark.parametrize("name", TRACES)
def test_every_trace_is_played_within_the_bars(name: str) -> None:
    played = compare(TRACES[name](1))
    assert list(missed_bars(name, played)) == []
    assert min(each.tasks for each in played.values()) > 1_000


def test_a_pool_that_never_shrinks_misses_the_bar_and_one_that_cannot_grow_the_objective() -> None:
    never_less = compare(TRACES["decay"](1), POOL._replace(least=POOL.most))
    assert next(missed_bars("decay", never_less)).endswith("of a fixed fleet")
    too_few = compare(TRACES["steady"](1), POOL._replace(most=5))
    assert not too_few["tercio"].holds


def test_a_pool_that_looks_only_at_the_moment_flaps_more_than_the_reactive_rule() -> None:
    hasty = compare(TRACES["steady"](1), POOL._replace(window=0, sustained=0, cooldown=0))
    assert any("flaps" in each for each in missed_bars("steady", hasty))
