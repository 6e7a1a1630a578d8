"""Grants: everything or nothing, and never more than there is."""

from __future__ import annotations

import pytest

from support.resources_machine import CPU, Driver, spec
from tercio_common.errors import Refusal
from tercio_resources.state.commands import SetQuota
from tercio_resources.state.rows import Bound, Gap, Part, PoolRow, QuotaRow
from tercio_resources.state.rules import Rules

MEMORY = PoolRow("memory", "memory", "MB", 100)


def test_an_item_gets_all_of_its_dimensions_or_nothing() -> None:
    driver = Driver(Rules(default_pools=(CPU, MEMORY)))
    assert driver.grant(amounts={"cpu": 100, "memory": 101}) == 0
    assert (driver.granted("cpu"), driver.granted("memory")) == (0, 0)
    assert driver.grant(amounts={"cpu": 100, "memory": 100})


def test_each_item_of_a_batch_sees_what_the_ones_before_took() -> None:
    numbers = Driver().allocate(*"abcdefghijkl").numbers
    assert [bool(number) for number in numbers] == [True] * 10 + [False] * 2


def test_an_atomic_batch_that_does_not_fit_takes_nothing() -> None:
    driver = Driver()
    granted = driver.allocate(*"abcdefghijkl", atomic=True)
    assert set(granted.numbers) == {0}
    assert sorted(granted.shortages) == [10, 11]
    assert driver.granted() == 0


def test_a_shortage_names_the_gap() -> None:
    driver = Driver()
    driver.grant(amounts={"cpu": 700})
    shortage = driver.allocate("b", specs=(spec({"cpu": 400}),)).shortages[0]
    gap = Gap("cpu", 400, Bound(300, "pool", 1_000), "cpu")
    assert (shortage.reason, shortage.gaps) == ("INSUFFICIENT_RESOURCES", (gap,))


def test_a_gap_tells_how_much_there_could_be_as_pools_and_quotas_are_set() -> None:
    pools = (CPU._replace(reserve=100), PoolRow("b", "cpu", "millicores", 5_000, fenced=True))
    driver = Driver(Rules(default_pools=pools))
    driver.do(SetQuota(QuotaRow("t", (("cpu", 600),))))
    driver.grant(amounts={"cpu": 850})
    for tenant, most in (("", 900), ("t", 600)):
        (gap,) = driver.allocate("b", specs=(spec({"cpu": 400}, tenant=tenant),)).shortages[0].gaps
        assert gap.bound == Bound(50, "pool", most)


def test_the_pool_with_the_least_left_is_chosen_in_which_it_fits() -> None:
    small, large = PoolRow("a", "cpu", "millicores", 150), PoolRow("b", "cpu", "millicores", 1_000)
    driver = Driver(Rules(default_pools=(large, small)))
    driver.grant()
    driver.grant()
    assert [row.lot.parts for row in driver.rows()] == [(Part("a", "cpu", 100),), (Part("b", "cpu", 100),)]


def test_labels_choose_among_pools() -> None:
    here = PoolRow("here", "cpu", "millicores", 1_000, labels=(("zone", "a"),))
    driver = Driver(Rules(default_pools=(CPU, here)))
    driver.grant(pool_labels=(("zone", "a"),))
    assert driver.rows()[0].lot.parts[0].pool_id == "here"
    nowhere = driver.allocate("b", specs=(spec(pool_labels=(("zone", "b"),)),))
    assert nowhere.shortages[0].reason == "POOL_NOT_FOUND"


def test_the_reserve_is_for_emergencies_of_those_who_may_declare_them() -> None:
    driver = Driver(Rules(default_pools=(CPU._replace(reserve=900),)))
    driver.grant()
    assert driver.grant("b") == 0
    driver.principal = "somebody"
    with pytest.raises(Refusal, match="PERMISSION_DENIED"):
        driver.allocate("b", emergency=True)
    driver.principal = "local"
    assert driver.allocate("b", emergency=True).numbers[0]


def test_an_owner_is_bounded_over_all_that_it_holds() -> None:
    driver = Driver(Rules(default_pools=(CPU,), owner_limits={"cpu": 150}))
    assert driver.allocate("a", specs=(spec({"cpu": 151}),)).shortages[0].reason == "RESOURCE_LIMIT_EXCEEDED"
    granted = driver.allocate("a", "a", "b")
    assert granted.shortages[1].gaps[0].bound == Bound(50, "owner", 150)
    assert granted.numbers[2]


def test_equal_lots_stand_once_in_a_record() -> None:
    driver = Driver()
    driver.allocate(*"abcdef", specs=(spec(), spec(priority=3)), indexes=(0, 1, 0, 1, 0, 1))
    assert [row.lot.priority for row in driver.rows()] == [0, 3, 0, 3, 0, 3]
    assert len({id(row.lot) for row in driver.rows()}) == 2
