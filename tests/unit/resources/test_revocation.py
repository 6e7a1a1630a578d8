"""Room is made for an emergency, and for who waits: holders are asked first, and revoked once after the grace."""

from __future__ import annotations

from dataclasses import replace

from support.resources_machine import CPU, Driver, spec
from tercio_resources.state.commands import Allocate, SetQuota
from tercio_resources.state.rows import PoolRow, QuotaRow
from tercio_resources.state.rules import Rules


def test_an_emergency_has_the_lowest_priority_revoked_after_the_grace() -> None:
    driver = Driver()
    driver.allocate("low", "high", specs=(spec({"cpu": 500}), spec({"cpu": 500}, priority=5)), indexes=(0, 1))
    urgent = spec({"cpu": 400}, priority=9)
    asked = driver.allocate("urgent", specs=(urgent,), emergency=True)
    assert (asked.numbers[0], asked.shortages[0].revoking) == (0, 1)
    assert {row.owner: bool(row.revoke_at) for row in driver.rows()} == {"low": True, "high": False}
    again = driver.allocate("urgent", specs=(urgent,), emergency=True)
    assert again.shortages[0].revoking == 1
    assert sum(bool(row.revoke_at) for row in driver.rows()) == 1
    driver.listen(driver.rules.grace)
    assert [row.owner for row in driver.rows()] == ["high"]
    assert driver.allocate("urgent", specs=(urgent,), emergency=True).numbers[0]


def test_nobody_is_revoked_in_vain() -> None:
    driver = Driver()
    driver.allocate("low", "high", specs=(spec({"cpu": 100}), spec({"cpu": 900}, priority=9)), indexes=(0, 1))
    asked = driver.allocate("urgent", specs=(spec({"cpu": 500}, priority=9),), emergency=True)
    assert asked.shortages[0].revoking == 0
    assert not any(row.revoke_at for row in driver.rows())


def test_who_is_not_needed_after_all_is_spared() -> None:
    driver = Driver()
    driver.allocate("large", "small", specs=(spec({"cpu": 800}), spec({"cpu": 200})), indexes=(0, 1))
    asked = driver.allocate("urgent", specs=(spec({"cpu": 500}, priority=9),), emergency=True)
    assert asked.shortages[0].revoking == 1
    assert [row.owner for row in driver.rows() if row.revoke_at] == ["large"]


def test_a_fenced_pool_gives_nothing_so_nobody_is_asked_for_it() -> None:
    driver = Driver()
    driver.grant("low", amounts={"cpu": 1_000})
    driver.update(fenced=True)
    assert driver.allocate("urgent", specs=(spec(priority=9),), emergency=True).shortages[0].revoking == 0


def test_of_an_over_committed_pool_enough_is_asked_back() -> None:
    driver = Driver()
    driver.allocate("first", "second", specs=(spec({"cpu": 500}),))
    driver.update(capacity=600)
    asked = driver.allocate("urgent", specs=(spec({"cpu": 200}, priority=9),), emergency=True)
    assert asked.shortages[0].revoking == 2


def test_a_victim_gives_back_in_the_pool_that_is_short() -> None:
    memory = PoolRow("memory", "memory", "MB", 100)
    driver = Driver(Rules(default_pools=(CPU, memory)))
    driver.grant("memory", amounts={"memory": 100})
    driver.grant("cpu", amounts={"cpu": 1_000})
    driver.allocate("urgent", specs=(spec({"cpu": 1}, priority=1),), emergency=True)
    assert {row.owner: bool(row.revoke_at) for row in driver.rows()} == {"memory": False, "cpu": True}


def test_what_was_borrowed_is_given_back_to_who_waits() -> None:
    driver = Driver()
    driver.do(SetQuota(QuotaRow("greedy", (("cpu", 500),), borrowing=True)))
    driver.allocate("g1", "g2", specs=(spec({"cpu": 500}, tenant="greedy"),))
    waiting = Allocate(specs=(spec({"cpu": 400}, tenant="modest"),), owners=("m",))
    assert driver.do(waiting).shortages[0].revoking == 0
    waiting = replace(waiting, waits=True)
    driver.session.waiting.enter(waiting, driver.now)
    assert driver.do(waiting).shortages[0].revoking == 1
    driver.listen(driver.rules.grace)
    assert driver.do(waiting).numbers[0]


def test_a_quota_bounds_its_tenant_and_nobody_else() -> None:
    driver = Driver()
    driver.do(SetQuota(QuotaRow("a", (("cpu", 150),))))
    granted = driver.allocate("1", "2", "3", specs=(spec(tenant="a"), spec(tenant="b")), indexes=(0, 0, 1))
    assert granted.shortages[1].gaps[0].bound == (50, "quota", 150)
    assert granted.numbers[2]
