"""Leases of claims end at TTL and grace after the last renewal, and never for what nobody could hear."""

from __future__ import annotations

from support.conflicts_machine import TTL, Driver, file

A = file("a")


def test_a_claim_that_nobody_renews_ends_at_its_ttl_and_the_grace() -> None:
    driver = Driver()
    driver.claim("a", A)
    driver.listen(TTL + driver.rules.grace - 1)
    assert driver.rows()
    driver.listen(1)
    assert not driver.rows()


def test_a_renewal_lets_everything_of_the_owner_live_on() -> None:
    driver = Driver()
    driver.claim("a", A)
    driver.listen(TTL)
    driver.session.renew(["a"], driver.now)
    driver.listen(TTL + driver.rules.grace - 1)
    assert driver.rows()


def test_a_hand_over_begins_a_lease() -> None:
    driver = Driver()
    driver.claim("a", A)
    driver.listen(TTL)
    driver.transfer("a", "b")
    driver.listen(TTL + driver.rules.grace - 1)
    assert [row.owner for row in driver.rows()] == ["b"]


def test_nobody_pays_for_a_leader_that_was_stopped_or_replaced() -> None:
    driver = Driver()
    driver.claim("a", A)
    driver.sleep(10 * TTL)
    driver.listen(TTL)
    driver.take_over()
    driver.listen(TTL)
    assert driver.rows()


def test_tombstones_are_pruned_after_their_time() -> None:
    driver = Driver()
    driver.claim("a", A)
    driver.release(owners=("a",))
    driver.listen(driver.rules.tombstone - 1)
    assert not driver.claim("a", A)
    driver.listen(1)
    assert driver.claim("a", A)
