"""Leases: who is not renewed loses what it holds, once, and never for the time that nobody listened."""

from __future__ import annotations

from support.resources_machine import TTL, Driver


def test_what_nobody_renews_is_released_after_its_ttl_and_the_grace() -> None:
    driver = Driver()
    driver.grant()
    driver.listen(TTL + driver.rules.grace - 1_000)
    assert driver.granted() == 100
    driver.listen(1_000)
    assert driver.granted() == 0


def test_a_renewal_keeps_all_that_the_owner_holds() -> None:
    driver = Driver()
    driver.allocate("a", "a", "b")
    driver.listen(TTL // 2)
    driver.session.renew(["a"], driver.now)
    driver.listen(TTL // 2 + driver.rules.grace)
    assert [row.owner for row in driver.rows()] == ["a", "a"]
    driver.listen(TTL // 2)
    assert driver.rows() == []


def test_nobody_expires_within_a_full_ttl_after_a_take_over() -> None:
    driver = Driver()
    driver.grant()
    driver.listen(TTL)
    driver.take_over()
    driver.listen(TTL)
    assert driver.granted() == 100
    driver.listen(driver.rules.grace)
    assert driver.granted() == 0


def test_a_leader_that_was_stopped_charges_nobody_for_it() -> None:
    driver = Driver()
    driver.grant()
    driver.sleep(10 * TTL)
    assert driver.granted() == 100
    driver.listen(TTL + driver.rules.grace)
    assert driver.granted() == 0


def test_tombstones_are_pruned_after_their_time() -> None:
    driver = Driver()
    driver.release(owners=("a",))
    assert driver.grant("a") == 0
    driver.listen(driver.rules.tombstone)
    assert driver.grant("a")
    assert len(driver.machine.tables.tombstones) == 0
