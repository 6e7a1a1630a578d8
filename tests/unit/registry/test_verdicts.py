"""Reports and canaries change a verdict only when several in a row speak against it."""

from __future__ import annotations

import pytest

from support.registry_machine import Driver
from tercio_common.machine.system_tasks import Result
from tercio_registry.state.agents import Ailment, Health
from tercio_registry.state.commands import DeregisterAgent
from tercio_registry.state.rules import Rules
from tercio_registry.state.views import State
from tercio_registry.state.vitals import Vitals

ILL = {
    Ailment.MEMORY_EXHAUSTED: Vitals(memory_used=91, memory_limit=100),
    Ailment.DISK_EXHAUSTED: Vitals(disk_used=96, disk_total=100),
    Ailment.QUEUE_FULL: Vitals(queue_length=8, queue_limit=8),
    Ailment.HIGH_ERROR_RATE: Vitals(failed=3, succeeded=2),
}
WELL = Vitals(
    memory_used=10, memory_limit=100, disk_used=10, disk_total=100, queue_length=0, queue_limit=8, failed=0, succeeded=5
)


def reported(driver: Driver, *reports: Vitals) -> tuple[Ailment, ...]:
    """Return what the agent ails from after it has sent these."""
    for vitals in reports:
        driver.listen(1_000)
        driver.beat(vitals=vitals)
    return driver.row().ailments


@pytest.mark.parametrize(("ailment", "ill"), ILL.items(), ids=[each.name for each in ILL])
def test_three_bad_reports_in_a_row_find_an_ailment_and_three_good_ones_cure_it(ailment: Ailment, ill: Vitals) -> None:
    driver = Driver()
    driver.register()
    assert reported(driver, ill, ill) == ()
    assert reported(driver, ill) == (ailment,)
    assert driver.state() is State.DEGRADED
    assert driver.view().why
    assert reported(driver, WELL, WELL) == (ailment,)
    assert reported(driver, WELL) == ()
    assert (driver.state(), driver.view().why) == (State.HEALTHY, "")


@pytest.mark.parametrize(("ailment", "ill"), ILL.items(), ids=[each.name for each in ILL])
def test_a_report_that_says_otherwise_breaks_the_row(ailment: Ailment, ill: Vitals) -> None:
    driver = Driver()
    driver.register()
    assert reported(driver, ill, ill, WELL, ill, ill, WELL) == ()
    assert reported(driver, ill, ill, ill) == (ailment,)
    assert reported(driver, WELL, WELL, ill, WELL, WELL, ill) == (ailment,)


def test_what_is_not_reported_is_not_judged() -> None:
    driver = Driver()
    driver.register()
    before = driver.seq
    assert reported(driver, *[Vitals()] * 10) == ()
    assert driver.seq == before
    assert driver.view().vitals == Vitals()


def test_just_under_a_threshold_is_no_recovery() -> None:
    driver = Driver()
    driver.register()
    reported(driver, *[ILL[Ailment.MEMORY_EXHAUSTED]] * 3)
    assert reported(driver, *[Vitals(memory_used=73, memory_limit=100)] * 5) == (Ailment.MEMORY_EXHAUSTED,)
    assert reported(driver, *[Vitals(memory_used=71, memory_limit=100)] * 3) == ()


def test_few_attempts_are_judged_together() -> None:
    driver = Driver()
    driver.register()
    assert reported(driver, *[Vitals(failed=1)] * 14) == ()
    assert reported(driver, Vitals(failed=1)) == (Ailment.HIGH_ERROR_RATE,)


def test_the_worst_of_all_counts() -> None:
    driver = Driver()
    driver.register()
    reported(driver, *[ILL[Ailment.MEMORY_EXHAUSTED]] * 3)
    driver.listen(2_600)
    assert (driver.state(), driver.row().regularity) == (State.UNHEALTHY, Health.UNHEALTHY)
    assert driver.view().why == "two heartbeats are missing; hardly any memory is left"
    for _ in range(4):
        driver.beat(vitals=ILL[Ailment.MEMORY_EXHAUSTED])
    assert (driver.state(), driver.row().regularity) == (State.DEGRADED, Health.HEALTHY)


def test_the_next_leader_keeps_the_verdict_and_counts_anew() -> None:
    driver = Driver()
    driver.register()
    ill = ILL[Ailment.DISK_EXHAUSTED]
    assert reported(driver, ill, ill) == ()
    driver.take_over()
    assert reported(driver, ill, ill) == ()
    assert reported(driver, ill) == (Ailment.DISK_EXHAUSTED,)
    driver.take_over()
    assert driver.state() is State.UNCONFIRMED
    assert reported(driver, WELL, WELL) == (Ailment.DISK_EXHAUSTED,)
    assert driver.state() is State.DEGRADED
    assert reported(driver, WELL) == ()


def test_ailments_end_with_the_incarnation() -> None:
    driver = Driver()
    driver.register()
    reported(driver, *[ILL[Ailment.DISK_EXHAUSTED]] * 3)
    driver.register()
    assert driver.row().ailments == (Ailment.DISK_EXHAUSTED,), "it is the same process"
    driver.register(instance=b"2" * 16)
    assert driver.row().ailments == ()
    driver.do(DeregisterAgent(agent_id="a"))
    assert driver.row().ailments == ()


def test_a_deaf_agent_is_found_and_comes_back_when_it_answers() -> None:
    driver = Driver()
    driver.register()
    asked = []
    for _ in range(3):
        assert driver.state() is State.HEALTHY
        asked.append(driver.canary(Result.EXPIRED))
    assert driver.row().ailments == (Ailment.DEAF,)
    assert driver.state() is State.DEGRADED
    rules = driver.rules
    assert asked[0] <= rules.canary_interval + LAG
    assert asked[2] - asked[0] <= 2 * (rules.canary_timeout + LAG), "asked again at once"
    for _ in range(2):
        driver.canary(Result.SUCCEEDED)
        assert driver.row().ailments == (Ailment.DEAF,)
    driver.canary(Result.FAILED)
    assert driver.row().ailments == (), "that it could not is an answer, too"


def test_attempts_of_a_former_process_are_not_held_against_the_next() -> None:
    driver = Driver()
    driver.register()
    reported(driver, *[ILL[Ailment.HIGH_ERROR_RATE]] * 2, Vitals(failed=4))
    driver.register(instance=b"2" * 16)
    for vitals in (Vitals(succeeded=1), *[ILL[Ailment.HIGH_ERROR_RATE]] * 2):
        driver.listen(1_000)
        driver.beat(incarnation=2, vitals=vitals)
    assert driver.row().ailments == ()


LAG = 250


@pytest.mark.parametrize("result", [Result.AGENT_GONE, Result.UNREPORTED])
def test_a_canary_that_never_reached_an_agent_says_nothing(result: Result) -> None:
    driver = Driver()
    driver.register()
    for _ in range(5):
        driver.canary(result)
    assert driver.row().ailments == ()


def test_canaries_that_nobody_answers_for_are_sent_again() -> None:
    driver = Driver()
    driver.register()
    driver.ask()
    driver.heartbeat_through(60_000)
    assert driver.ask() == ["a"]


def test_canaries_that_mostly_fail_accuse_nobody() -> None:
    driver = Driver()
    names = [f"a{number}" for number in range(40)]
    for name in names:
        driver.register(name)
    for _ in range(4):
        driver.canaries(dict.fromkeys(names, Result.SUCCEEDED))
    for _ in range(2):
        driver.canaries(dict.fromkeys(names, Result.EXPIRED))
    driver.canaries(dict.fromkeys(names, Result.EXPIRED))
    assert not any(driver.row(name).ailments for name in names)


def test_many_deaf_agents_are_found_although_they_are_asked_more_often() -> None:
    driver = Driver()
    names = [f"a{number}" for number in range(60)]
    deaf = set(names[::3])
    for name in names:
        driver.register(name)
    rules = driver.rules
    until = driver.now + rules.canary_interval + 4 * rules.canary_timeout
    while driver.now < until:
        driver.heartbeat_through(rules.interval)
        driver.ask()
        for name, since in driver.open_canaries():
            if name not in deaf:
                driver.end_canary(name, Result.SUCCEEDED)
            elif driver.now - since >= rules.canary_timeout:
                driver.end_canary(name, Result.EXPIRED)
    assert {name for name in names if driver.row(name).ailments} == deaf


def test_no_canary_is_sent_when_they_are_off() -> None:
    driver = Driver(Rules(interval=1_000, retention=60_000, canary_interval=0))
    driver.register()
    driver.heartbeat_through(40_000)
    assert driver.ask() == []
