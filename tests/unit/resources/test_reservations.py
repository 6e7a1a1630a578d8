"""Reservations: what was promised is there at the start, and nothing is ever granted twice."""

from __future__ import annotations

from typing import Any

import pytest

from support.resources_machine import CPU, WALL, Driver, spec
from tercio_common.errors import Refusal
from tercio_resources.state.commands import DeletePool, Kind, Optimize, ReportUsage, Resize, SetQuota, UsageReport
from tercio_resources.state.reservation_rows import CancelReservation, ClaimReservation, Phase, Reserve
from tercio_resources.state.rows import Amount, PoolRow, QuotaRow
from tercio_resources.state.rules import Rules

RULES = Rules(default_pools=(CPU,), reservation_lead=60_000, reservation_claim=30_000)
START, END = 600_000, 900_000
"""In ms of fleet time, with which the wall keeps step here."""


def reserve(driver: Driver, cpu: int = 600, *, start: int = START, end: int = END, owner: str = "r") -> int:
    command = Reserve(owner=owner, spec=spec({"cpu": cpu}), start=WALL + start, end=WALL + end)
    number: int = driver.do(command).number
    return number


def claim(driver: Driver, number: int, owner: str = "r") -> int:
    allocation: int = driver.do(ClaimReservation(number, owner)).number
    return allocation


def until(driver: Driver, when: int, *renewed: str) -> None:
    """Let time pass while these are renewed."""
    while driver.now < when:
        driver.session.renew(renewed, driver.now)
        driver.listen(min(10_000, when - driver.now))


def refusal(call: Any, *arguments: Any, **named: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(*arguments, **named)
    return caught.value


def test_what_is_reserved_is_granted_when_it_is_claimed_in_its_window() -> None:
    driver = Driver(RULES)
    number = reserve(driver)
    assert refusal(claim, driver, number).reason == "RESERVATION_NOT_DUE"
    until(driver, START)
    allocation = claim(driver, number)
    assert (driver.granted(), driver.rows()[0].owner, driver.rows()[0].number) == (600, "r", allocation)
    assert refusal(claim, driver, number).reason == "RESERVATION_CLAIMED"
    assert refusal(driver.do, CancelReservation(number)).reason == "RESERVATION_CLAIMED"


def test_what_will_be_needed_is_granted_to_nobody_else_from_the_lead_on() -> None:
    driver = Driver(RULES)
    number = reserve(driver)
    until(driver, START - RULES.reservation_lead - 1_000)
    early = driver.grant("early", amounts={"cpu": 500})
    driver.release(early)
    until(driver, START - RULES.reservation_lead)
    assert driver.grant("late", amounts={"cpu": 500}) == 0
    assert driver.grant("small", amounts={"cpu": 400})
    driver.do(CancelReservation(number))
    assert driver.grant("late", amounts={"cpu": 500})


def test_holders_that_renew_without_end_are_asked_before_the_start_and_are_gone_at_it() -> None:
    driver = Driver(RULES)
    low, high = (driver.grant(owner, amounts={"cpu": 400}, priority=p) for owner, p in (("low", 1), ("high", 7)))
    number = reserve(driver)
    until(driver, START - RULES.grace - 1_000, "low", "high")
    assert not any(row.revoke_at for row in driver.rows())
    until(driver, START - RULES.grace, "low", "high")
    rows = {row.number: row for row in driver.rows()}
    assert (rows[low].revoke_at, rows[high].revoke_at) == (START, 0)
    until(driver, START, "low", "high")
    assert claim(driver, number)
    assert driver.granted() == 1_000
    assert high in driver.machine.tables.allocations


def test_what_was_claimed_is_asked_back_before_the_windows_end() -> None:
    driver = Driver(RULES)
    first, second = reserve(driver, 1_000), reserve(driver, 1_000, start=END, end=END + 100_000, owner="next")
    until(driver, START)
    claim(driver, first)
    until(driver, END, "r")
    assert driver.granted() == 0
    assert first not in driver.machine.tables.reservations
    assert claim(driver, second, "next")


def test_what_is_not_claimed_in_time_lapses() -> None:
    driver = Driver(RULES)
    number = reserve(driver)
    until(driver, START + RULES.reservation_claim)
    assert refusal(claim, driver, number).reason == "RESERVATION_NOT_FOUND"
    assert driver.grant("b", amounts={"cpu": 1_000})


def test_no_more_is_reserved_at_once_than_a_pool_may_grant() -> None:
    driver = Driver(Rules(default_pools=(CPU._replace(reserve=100),)))
    reserve(driver, 500)
    refused = refusal(reserve, driver, 401)
    assert (refused.reason, refused.metadata["cpu.available"]) == ("INSUFFICIENT_RESOURCES", "400")
    reserve(driver, 400)
    assert reserve(driver, 900, start=END, end=END + 1_000)
    assert reserve(driver, 900, start=START - 1_000, end=START)


def test_a_reservation_must_leave_time_to_make_room() -> None:
    driver = Driver(RULES)
    refused = refusal(reserve, driver, start=RULES.grace - 1)
    assert (refused.reason, "start_time" in refused.message) == ("INVALID_ARGUMENT", True)
    with_limit = Driver(Rules(default_pools=(CPU,), owner_limits={"cpu": 500}))
    assert refusal(reserve, with_limit).reason == "RESOURCE_LIMIT_EXCEEDED"
    elsewhere = Reserve(owner="r", spec=spec({"gpu": 1}), start=WALL + START, end=WALL + END)
    assert refusal(driver.do, elsewhere).reason == "POOL_NOT_FOUND"


def test_only_the_owner_claims_and_an_owner_that_was_released_does_not() -> None:
    driver = Driver(RULES)
    number = reserve(driver)
    until(driver, START)
    assert refusal(claim, driver, number, "b").reason == "RESERVATION_NOT_FOUND"
    driver.release(owners=("r",))
    assert refusal(claim, driver, number).reason == "OWNER_RELEASED"
    driver.do(CancelReservation(number))
    assert refusal(driver.do, CancelReservation(number)).reason == "RESERVATION_NOT_FOUND"


def test_a_cut_of_the_capacity_makes_a_claim_wait_and_never_over_grants() -> None:
    driver = Driver(RULES)
    number = reserve(driver)
    driver.update(capacity=500)
    until(driver, START)
    assert refusal(claim, driver, number).metadata["cpu.available"] == "500"
    driver.update(capacity=600)
    assert claim(driver, number)


def test_quotas_bound_a_claim_as_any_grant() -> None:
    driver = Driver(RULES)
    command = Reserve(owner="r", spec=spec({"cpu": 600}, tenant="t"), start=WALL + START, end=WALL + END)
    number = driver.do(command).number
    driver.do(SetQuota(QuotaRow("t", (("cpu", 500),))))
    until(driver, START)
    assert refusal(claim, driver, number).metadata["cpu.bound"] == "quota"


def test_a_pool_of_which_something_is_reserved_is_not_deleted() -> None:
    driver = Driver(RULES)
    number = reserve(driver)
    assert refusal(driver.do, DeletePool("cpu")).reason == "POOL_IN_USE"
    driver.do(CancelReservation(number))
    driver.do(DeletePool("cpu"))


def test_what_was_claimed_is_neither_taken_back_nor_grows() -> None:
    driver = Driver(Rules(default_pools=(CPU,), idle=20_000))
    number = reserve(driver)
    until(driver, START)
    allocation = claim(driver, number)
    for _ in range(4):
        driver.do(ReportUsage((UsageReport(allocation, (Amount("cpu", 1),)),)))
        until(driver, driver.now + 10_000, "r")
    assert driver.do(Optimize((Kind.RECLAIM, Kind.SHRINK))) == []
    grow = Resize(number=allocation, owner="r", amounts=(Amount("cpu", 700),))
    assert refusal(driver.do, grow).metadata["cpu.available"] == "0"


def test_an_emergency_may_take_what_is_kept() -> None:
    driver = Driver(RULES)
    reserve(driver)
    until(driver, START - 10_000)
    assert driver.allocate("e", emergency=True, specs=(spec({"cpu": 1_000}),)).numbers[0]


def test_a_take_over_keeps_reservations() -> None:
    driver = Driver(RULES)
    number = reserve(driver)
    driver.take_over()
    driver.machine = driver.reloaded()
    until(driver, START)
    assert driver.machine.tables.reservations[number].phase is Phase.ROOM_MADE
    assert claim(driver, number)


def test_the_pool_with_the_least_room_in_the_window_is_chosen() -> None:
    driver = Driver(Rules(default_pools=(CPU, PoolRow("small", "cpu", "millicores", 700))))
    numbers = [reserve(driver, 600), reserve(driver, 600)]
    pools = [driver.machine.tables.reservations[number].lot.parts[0].pool_id for number in numbers]
    assert pools == ["small", "cpu"]
