"""Cycles of waits: found however long they are, and ended by the victim that the rule names."""

from __future__ import annotations

import pytest

from support.conflicts_machine import Driver, file
from tercio_conflicts.state.modes import Mode


def ring(driver: Driver, priorities: list[int]) -> None:
    """Let each owner hold a file and wait for the next one's."""
    count = len(priorities)
    for index in range(count):
        assert driver.claim(f"o{index}", file(f"f{index}"))
    for index, priority in enumerate(priorities):
        driver.wait(driver.wish(f"o{index}", file(f"f{(index + 1) % count}"), priority=priority))


@pytest.mark.parametrize(
    ("priorities", "victim"), [([0, 0], "o1"), ([1, 0, 2], "o1"), ([3, 3, 5, 3], "o3"), ([0] * 100, "o99")], ids=len
)
def test_the_lowest_priority_and_then_the_youngest_gives_way(priorities: list[int], victim: str) -> None:
    driver = Driver()
    ring(driver, priorities)
    assert [ticket.owner for ticket in driver.detect()] == [victim]
    assert driver.detect() == []


def test_who_only_waits_for_a_cycle_is_no_victim() -> None:
    driver = Driver()
    ring(driver, [1, 1])
    driver.wait(driver.wish("outside", file("f0")))
    assert [ticket.owner for ticket in driver.detect()] == ["o1"]


def test_two_that_upgrade_wait_for_each_other() -> None:
    driver = Driver()
    for owner in ("a", "b"):
        driver.claim(owner, file("x"), mode=Mode.SHARED)
    for owner in ("a", "b"):
        driver.wait(driver.wish(owner, file("x")))
    assert [ticket.owner for ticket in driver.detect()] == ["b"]
    driver.release(owners=("b",))
    assert [ticket.owner for ticket in driver.serve()] == ["a"]


def test_every_cycle_has_its_victim() -> None:
    driver = Driver()
    ring(driver, [0, 0])
    for owner, name in (("c", "y"), ("d", "z")):
        driver.claim(owner, file(name))
    driver.wait(driver.wish("c", file("z")))
    driver.wait(driver.wish("d", file("y")))
    assert sorted(ticket.owner for ticket in driver.detect()) == ["d", "o1"]


def test_waits_without_a_cycle_are_left_alone() -> None:
    driver = Driver()
    driver.claim("a", file("x"))
    driver.wait(driver.wish("b", file("x")))
    driver.wait(driver.wish("c", file("x")))
    assert driver.detect() == []
