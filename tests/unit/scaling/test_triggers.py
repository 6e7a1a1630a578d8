"""Triggers: what each says of what is seen."""

from __future__ import annotations

import pytest

from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.triggers.catalogue import TRIGGERS
from tercio_scaling.state.triggers.protocol import Proposal

POOL = AgentPool("p", slots=2, wait_target=30_000, response_target=60_000)


def said(name: str, seen: Observation, pool: AgentPool = POOL) -> Proposal | None:
    return TRIGGERS[name](pool, seen)


def agents(name: str, seen: Observation) -> int | None:
    found = said(name, seen)
    return found and found.agents


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        pytest.param(Observation(waiting=3, running=2), 3, id="unknown tasks get a slot each"),
        pytest.param(Observation(waiting=300, running=0, mean_run=300), 2, id="short ones share slots"),
        pytest.param(Observation(waiting=10, running=10, mean_run=270_000), 9, id="long ones hardly do"),
        pytest.param(Observation(running=7, mean_run=1), 4, id="what runs keeps its slot"),
        pytest.param(Observation(), 0, id="nothing needs nobody"),
    ],
)
def test_queue_depth_asks_for_what_begins_all_that_waits_in_time(seen: Observation, wanted: int) -> None:
    assert agents("queue_depth", seen) == wanted


def test_an_old_task_asks_for_a_step_more_once_the_last_step_is_there() -> None:
    assert agents("waiting_age", Observation(oldest_wait=30_001, ready=2)) == 3
    assert agents("waiting_age", Observation(oldest_wait=30_001, ready=2, starting=1)) == 3
    assert agents("waiting_age", Observation(oldest_wait=30_000, ready=2)) is None


def test_a_response_time_over_its_target_asks_for_more_while_it_rises_and_holds_while_it_falls() -> None:
    assert agents("response_time", Observation(response=70_000, response_before=60_000, ready=2)) == 3
    assert agents("response_time", Observation(response=70_000, response_before=80_000, ready=2)) == 2
    assert agents("response_time", Observation(response=60_000, response_before=1, ready=2)) is None
    assert said("response_time", Observation(response=10**9), POOL._replace(response_target=0)) is None


def test_utilisation_has_a_gap_in_which_it_only_holds() -> None:
    assert said("utilisation", Observation(running=8, ready=5)) == Proposal(
        "utilisation", 5, "80 % of 10 slots are busy", yields=True, least=5
    )
    assert agents("utilisation", Observation(running=9, ready=5)) == 6
    assert agents("utilisation", Observation(running=2, ready=5)) == 2
    assert said("utilisation", Observation()) is None


def test_a_forecast_is_heard_only_where_there_is_one() -> None:
    assert agents("forecast", Observation(foreseen=7)) == 4
    assert said("forecast", Observation()) is None
