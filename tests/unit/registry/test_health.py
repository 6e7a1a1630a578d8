"""Health follows from heartbeats and from their absence, and never from the leader's own."""

from __future__ import annotations

import pytest

from support.registry_machine import Driver
from tercio_common.machine.protocol import Tick
from tercio_registry.state.commands import ConfirmAgents, DeregisterAgent
from tercio_registry.state.rules import Rules
from tercio_registry.state.views import State


def test_an_agent_that_renews_stays_healthy_and_costs_no_record() -> None:
    driver = Driver()
    driver.register()
    before = driver.seq
    for _ in range(50):
        driver.listen(1_100)
        assert driver.beat() == ""
        assert driver.state() is State.HEALTHY
    assert driver.seq == before


def test_missed_heartbeats_degrade_step_by_step_and_the_ttl_ends_the_membership() -> None:
    driver = Driver()
    driver.register()
    seen = []
    for _ in range(40):
        driver.listen(100)
        if not seen or seen[-1][1] is not driver.state():
            seen.append((driver.now, driver.state()))
    assert seen == [(100, State.HEALTHY), (1_500, State.DEGRADED), (2_500, State.UNHEALTHY), (3_000, State.GONE)]
    assert driver.view().why == "no heartbeat for 3000 ms"


@pytest.mark.parametrize(("silent", "state"), [(1_600, State.DEGRADED), (2_600, State.UNHEALTHY)])
def test_punctual_heartbeats_in_a_row_make_it_healthy_again(silent: int, state: State) -> None:
    driver = Driver()
    driver.register()
    driver.beat()
    driver.listen(silent)
    assert driver.state() is state
    for _ in range(3):
        assert driver.beat() == ""
        assert driver.state() is State.DEGRADED
        driver.listen(1_000)
    driver.beat()
    assert driver.state() is State.HEALTHY
    driver.listen(1_600)
    assert driver.state() is State.DEGRADED


def test_a_heartbeat_that_is_missed_again_begins_the_row_anew() -> None:
    driver = Driver()
    driver.register()
    driver.beat()
    for _ in range(5):
        driver.listen(1_600)
        for _ in range(3):
            driver.beat()
            driver.listen(500)
            assert driver.state() is State.DEGRADED


def test_a_first_heartbeat_that_comes_late_is_no_punctual_one() -> None:
    driver = Driver()
    driver.register()
    driver.listen(1_600)
    for _ in range(3):
        driver.beat()
        assert driver.state() is State.DEGRADED
        driver.listen(1_000)
    driver.beat()
    assert driver.state() is State.HEALTHY


def test_an_agent_whose_deadline_was_set_aside_can_still_be_asked_to_leave() -> None:
    driver = Driver()
    driver.register()
    driver.listen(1_499)
    driver.machine.deadlines.pop(1_500)
    driver.machine.deadlines.set_aside_due()
    driver.do(DeregisterAgent(agent_id="a", leave_within=500))
    driver.heartbeat_through(1_000)
    assert driver.state() is State.DEREGISTERED


def test_a_new_leader_shows_agents_as_unconfirmed_until_they_renew() -> None:
    driver = Driver()
    driver.register("a")
    driver.register("b")
    driver.take_over()
    assert driver.state("a") is State.UNCONFIRMED
    assert driver.view("a").renewed_wall is None
    driver.listen(200)
    driver.beat("a")
    assert (driver.state("a"), driver.state("b")) == (State.HEALTHY, State.UNCONFIRMED)
    assert driver.view("a").renewed_wall == driver.moment().wall


def test_an_agent_confirmed_late_in_the_first_ttl_is_judged_from_its_own_heartbeat() -> None:
    driver = Driver()
    driver.register()
    driver.take_over()
    driver.listen(2_900)
    driver.beat()
    driver.listen(1_400)
    assert driver.state() is State.HEALTHY
    driver.listen(200)
    assert driver.state() is State.DEGRADED


def test_confirming_a_fleet_takes_one_record_for_many_agents() -> None:
    driver = Driver()
    for number in range(150):
        driver.register(f"a{number}")
    driver.take_over()
    before = driver.seq
    for number in range(150):
        row = driver.row(f"a{number}")
        driver.session.renew(row, driver.now, generation=driver.epoch.generation, revision=driver.epoch.revision)
    while driver.session.has_pending:
        driver.do(ConfirmAgents(driver.session.take_pending(100)))
    assert driver.seq == before + 2
    assert driver.machine.census.by_state(driver.epoch)[State.HEALTHY] == 150


def test_a_new_leader_declares_nobody_gone_before_it_listened_for_a_full_ttl() -> None:
    driver = Driver()
    driver.register()
    driver.listen(2_900)
    driver.take_over()
    driver.listen(2_900)
    assert driver.state() is State.UNCONFIRMED
    driver.listen(200)
    assert driver.state() is State.GONE


def test_a_leader_that_was_stopped_begins_to_listen_anew() -> None:
    driver = Driver()
    driver.register()
    driver.sleep(60_000)
    assert driver.state() is State.HEALTHY
    driver.listen(2_900)
    assert driver.state() is State.UNHEALTHY
    driver.listen(200)
    assert driver.state() is State.GONE


def test_a_renewal_that_arrives_after_the_end_does_not_revive() -> None:
    driver = Driver()
    driver.register()
    driver.listen(3_100)
    assert driver.beat() == "AGENT_GONE"
    assert driver.state() is State.GONE


def test_an_agent_that_came_back_is_judged_like_a_new_one() -> None:
    driver = Driver()
    driver.register()
    driver.listen(3_100)
    driver.register()
    driver.listen(1_600)
    assert driver.state() is State.DEGRADED
    driver.listen(1_500)
    assert driver.state() is State.GONE


def test_heartbeats_of_unknown_agents_leave_nothing_behind() -> None:
    driver = Driver()
    for number in range(1_000):
        assert driver.beat(f"nobody-{number}") == "AGENT_NOT_FOUND"
    assert len(driver.session) == 0
    assert not driver.session.has_pending


def test_a_mass_extinction_goes_in_steps() -> None:
    driver = Driver()
    for number in range(250):
        driver.register(f"a{number}")
    for _ in range(12):
        driver.now += 250
        driver.session.pulse(driver.now)
    before = driver.seq
    driver.tick(limit=100)
    assert driver.seq == before + 3
    assert driver.machine.census.by_state(driver.epoch)[State.GONE] == 250


def test_of_two_timers_the_one_that_fails_is_set_aside_by_name() -> None:
    driver = Driver()
    for agent_id in ("a", "b"):
        driver.register(agent_id)
    for _ in range(12):
        driver.now += 250
        driver.session.pulse(driver.now)
    driver.machine.decide(Tick(limit=1), driver.moment(), driver.session)  # as if applying its events had failed
    name = driver.machine.set_aside_due()
    (left,) = driver.machine.deadlines.agents()
    assert name == f"the deadline of agent {'ab'.replace(left, '')!r}"


def test_intervals_differ_by_agent_by_a_tenth_and_are_always_the_same() -> None:
    rules = Rules(interval=10_000)
    intervals = [rules.interval_of(f"agent-{number}") for number in range(500)]
    assert min(intervals) >= 9_000
    assert max(intervals) <= 11_000
    assert len(set(intervals)) > 100
    assert intervals == [rules.interval_of(f"agent-{number}") for number in range(500)]
    assert max(intervals) < rules.degraded_after
