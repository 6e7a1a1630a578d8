"""Holders are asked to release, have time by who asks and for how long, and then yield."""

from __future__ import annotations

import pytest

from support.conflicts_machine import Driver, file, glob
from tercio_common.errors import Refusal
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import Yield

A, B = file("d/a"), file("d/b")


@pytest.mark.parametrize(("priority", "ageings"), [(0, 3), (2, 1), (3, 0), (9, 0)])
def test_a_claim_yields_once_the_request_is_over_its_priority_and_a_grace_later(priority: int, ageings: int) -> None:
    driver = Driver()
    number = driver.claim("a", A, priority=2, ttl=3_600_000)
    (row,) = driver.ask(number, priority=priority, because="urgent")
    wait = ageings * driver.rules.ageing + driver.rules.grace
    assert row.yields == Yield(driver.now + wait, "z", "urgent")
    driver.listen(wait - 1)
    assert driver.rows() == [row]
    driver.listen(1)
    assert driver.rows() == []


def test_a_second_request_can_only_bring_it_forward() -> None:
    driver = Driver()
    number = driver.claim("a", A)
    (first,) = driver.ask(number)
    (sooner,) = driver.ask(number, priority=1)
    assert sooner.yields is not None
    assert first.yields is not None
    assert sooner.yields.at < first.yields.at
    assert driver.ask(number) == [sooner]


def test_nobody_is_asked_for_a_claim_that_is_not_held() -> None:
    driver = Driver()
    with pytest.raises(Refusal, match="CLAIM_NOT_FOUND"):
        driver.ask(5)


def test_who_pre_empts_asks_all_that_is_in_the_way() -> None:
    driver = Driver()
    held = [driver.claim("a", A, priority=1), driver.claim("b", B)]
    granted = driver.acquire("c", glob("d/**"), priority=2, preempts=True, purpose="hotfix")
    assert granted.obstacles[0].yielding == 2
    assert [row.yields for row in driver.rows()] == [Yield(driver.rules.grace, "c", "hotfix")] * 2
    driver.listen(driver.rules.grace)
    assert not driver.machine.tables.claims.get(held[0])
    assert driver.claim("c", glob("d/**"), priority=2)


def test_nobody_is_asked_when_it_would_not_be_enough() -> None:
    driver = Driver()
    driver.claim("a", A, priority=2)
    driver.claim("b", B)
    granted = driver.acquire("c", glob("d/**"), priority=2, preempts=True)
    assert granted.obstacles[0].yielding == 0
    assert not any(row.yields for row in driver.rows())


def test_a_request_stays_with_the_claim_when_it_is_handed_over() -> None:
    driver = Driver()
    number = driver.claim("a", A, mode=Mode.SHARED)
    (asked,) = driver.ask(number)
    (handed,) = driver.transfer("a", "b")
    assert (handed.owner, handed.yields) == ("b", asked.yields)
