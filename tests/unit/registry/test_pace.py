"""Agents that become slow are found by their own past or by the others, after a streak, and recover."""

from __future__ import annotations

import pytest

from support.registry_machine import Driver
from tercio_registry.effects.flush_performance import judge_pace
from tercio_registry.state.agents import Ailment
from tercio_registry.state.commands import RecordPerformance
from tercio_registry.state.pace import KNOWN_SUCCESSES
from tercio_registry.state.rules import Rules
from tercio_registry.state.totals import Counted, Totals
from tercio_registry.state.views import State

FIRST = b"1" * 16
MS = 1_000


class PaceDriver(Driver):
    """A registry whose agents count what they do."""

    def __init__(self, **rules: int) -> None:
        super().__init__(Rules(interval=1_000, retention=60_000, **rules))
        self._totals: dict[tuple[str, str], Totals] = {}

    def work(self, agent_id: str = "a", *, times: int, takes_ms: int, failed: int = 0, task_type: str = "t") -> None:
        """Let the agent end attempts, and record them."""
        former = self._totals.get((agent_id, task_type), Totals())
        totals = Totals(former.succeeded + times, former.failed + failed, former.run_micros + times * takes_ms * MS)
        self._totals[agent_id, task_type] = totals
        before = {agent_id: self.machine.performance.table.get(agent_id)}
        instance = self.row(agent_id).instance_id
        self.do(RecordPerformance((Counted(agent_id=agent_id, instance_id=instance, types=((task_type, totals),)),)))
        judge_pace(self.machine, self.session, before)
        self._confirm()

    def is_slow(self, agent_id: str = "a") -> bool:
        return Ailment.SLOW in self.row(agent_id).ailments


def with_past(**rules: int) -> PaceDriver:
    driver = PaceDriver(**rules)
    driver.register()
    driver.work(times=KNOWN_SUCCESSES, takes_ms=100)
    return driver


def with_others(count: int = 3) -> PaceDriver:
    """Return a fleet of one that did nothing yet, and others that take 100 ms."""
    driver = PaceDriver()
    driver.register()
    for number in range(count):
        driver.register(f"other-{number}")
        driver.work(f"other-{number}", times=5, takes_ms=100)
    return driver


def test_an_agent_that_is_much_slower_than_it_was_degrades_after_a_streak() -> None:
    driver = with_past()
    for _ in range(3):
        assert not driver.is_slow()
        driver.work(times=10, takes_ms=1_000)
    assert (driver.state(), driver.is_slow()) == (State.DEGRADED, True)
    assert driver.view().why == "it takes much longer than it did, or than others do"


def test_it_is_healthy_again_after_a_streak_at_its_former_pace() -> None:
    driver = with_past()
    for _ in range(3):
        driver.work(times=10, takes_ms=1_000)
    driver.work(times=30, takes_ms=100)
    for _ in range(2):
        assert driver.is_slow()
        driver.work(times=10, takes_ms=100)
    assert (driver.state(), driver.is_slow()) == (State.HEALTHY, False)


def test_an_agent_that_is_much_slower_than_the_others_degrades() -> None:
    driver = with_others()
    for _ in range(3):
        driver.work(times=1, takes_ms=350)
    assert driver.is_slow()
    assert not any(driver.is_slow(f"other-{number}") for number in range(3))


def test_two_agents_are_not_compared_with_each_other() -> None:
    driver = with_others(count=1)
    for _ in range(5):
        driver.work(times=1, takes_ms=10_000)
    assert not driver.is_slow()


def test_an_agent_without_a_past_is_not_compared_with_it() -> None:
    driver = PaceDriver()
    driver.register()
    driver.work(times=KNOWN_SUCCESSES // 4, takes_ms=1)
    for _ in range(5):
        driver.work(times=1, takes_ms=1_000)
    assert not driver.is_slow()


def test_what_differs_by_less_is_not_slow() -> None:
    driver = with_past()
    for _ in range(5):
        driver.work(times=10, takes_ms=250)
    assert not driver.is_slow()


@pytest.mark.parametrize("fails", [True, False], ids=["failures", "nothing"])
def test_records_without_a_success_are_no_observations(fails: bool) -> None:
    driver = with_past()
    driver.work(times=10, takes_ms=1_000)
    for _ in range(5):
        driver.work(times=0, takes_ms=0, failed=int(fails))
    assert not driver.is_slow()


def test_nobody_is_slow_when_the_setting_is_off() -> None:
    driver = with_past(slow_percent=0)
    for _ in range(5):
        driver.work(times=10, takes_ms=10_000)
    assert not driver.is_slow()


def test_a_streak_ends_with_the_process() -> None:
    driver = with_past()
    for _ in range(3):
        driver.work(times=10, takes_ms=1_000)
    driver.register(instance=b"2" * 16)
    assert (driver.state(), driver.is_slow()) == (State.HEALTHY, False)
