"""What was granted or reserved is given up by the principal that asked for it, and by operators."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.resources_machine import CPU, WALL, Driver, spec
from tercio_common.errors import Refusal
from tercio_resources.state.commands import Release, Resize, Transfer
from tercio_resources.state.reservation_rows import CancelReservation, Reserve
from tercio_resources.state.rows import Amount
from tercio_resources.state.rules import Rules

RULES = Rules(default_pools=(CPU,), operators=frozenset({"ops"}))


@pytest.fixture
def driver() -> Driver:
    """Somebody's grant to `a`, and a driver that goes on as another principal."""
    driver = Driver(RULES)
    driver.principal = "somebody"
    driver.grant("a")
    driver.principal = "other"
    return driver


def number_of(driver: Driver) -> int:
    return driver.rows()[0].number


def reserve(driver: Driver) -> int:
    start = WALL + driver.now + 60_000
    number: int = driver.do(Reserve(owner="r", spec=spec(), start=start, end=start + 60_000)).number
    return number


COMMANDS: dict[str, Callable[[Driver], object]] = {
    "release by id": lambda driver: Release(numbers=(number_of(driver),)),
    "release by owner": lambda driver: Release(owners=("a",)),
    "resize": lambda driver: Resize(number=number_of(driver), owner="a", amounts=(Amount("cpu", 50),)),
    "hand over": lambda driver: Transfer(from_owner="a", to_owner="b"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_another_principal_takes_nothing_away(driver: Driver, command: Callable[[Driver], object]) -> None:
    before = driver.rows()
    with pytest.raises(Refusal, match="PERMISSION_DENIED"):
        driver.do(command(driver))
    assert driver.rows() == before


@pytest.mark.parametrize("principal", ["somebody", "ops"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_who_asked_for_it_and_operators_do(driver: Driver, command: Callable[[Driver], object], principal: str) -> None:
    before = driver.rows()
    driver.principal = principal
    driver.do(command(driver))
    assert driver.rows() != before


def test_a_release_of_what_is_partly_anothers_releases_nothing(driver: Driver) -> None:
    driver.grant("mine")
    with pytest.raises(Refusal, match="PERMISSION_DENIED"):
        driver.release(owners=("mine", "a"))
    assert {row.owner for row in driver.rows()} == {"a", "mine"}


def test_an_owner_that_holds_nothing_is_barred_by_anybody(driver: Driver) -> None:
    driver.release(owners=("late",))
    assert driver.allocate("late").shortages[0].reason == "OWNER_RELEASED"


def test_who_hands_something_over_stays_in_charge_of_it(driver: Driver) -> None:
    driver.principal = "somebody"
    driver.do(Transfer(from_owner="a", to_owner="b"))
    assert [(row.owner, row.principal) for row in driver.rows()] == [("b", "somebody")]


def test_what_an_old_version_granted_is_released_by_anybody(driver: Driver) -> None:
    tables = driver.machine.tables
    tables.begin()
    tables.allocations.put(driver.rows()[0]._replace(principal=""))
    assert driver.release(number_of(driver)).released == 1


def test_a_reservation_is_cancelled_by_who_made_it_and_by_operators(driver: Driver) -> None:
    driver.principal = "somebody"
    mine, another = reserve(driver), reserve(driver)
    driver.principal = "other"
    with pytest.raises(Refusal, match="PERMISSION_DENIED"):
        driver.do(CancelReservation(mine))
    for principal, number in (("somebody", mine), ("ops", another)):
        driver.principal = principal
        driver.do(CancelReservation(number))
    assert not len(driver.machine.tables.reservations)


def test_who_asked_is_known_over_take_overs_and_snapshots(driver: Driver) -> None:
    driver.take_over()
    driver.machine = driver.reloaded()
    with pytest.raises(Refusal, match="PERMISSION_DENIED"):
        driver.release(number_of(driver))
