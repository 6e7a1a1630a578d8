"""Resizing: what is given back always is, and more is granted as anything else."""

from __future__ import annotations

import pytest

from support.resources_machine import CPU, Driver, spec
from tercio_common.errors import Refusal
from tercio_resources.state.commands import ReportUsage, Resize, SetQuota, UsageReport
from tercio_resources.state.rows import Amount, PoolRow, QuotaRow
from tercio_resources.state.rules import Rules

TWO = Rules(default_pools=(CPU, PoolRow("memory", "memory", "MB", 100)))


def resize(driver: Driver, number: int, owner: str = "a", **amounts: int) -> None:
    asked = tuple(Amount(name, amount) for name, amount in amounts.items())
    driver.do(Resize(number=number, owner=owner, amounts=asked))


def refusal(driver: Driver, number: int, owner: str = "a", **amounts: int) -> Refusal:
    with pytest.raises(Refusal) as caught:
        resize(driver, number, owner, **amounts)
    return caught.value


def test_owner_token_and_the_other_dimensions_stay() -> None:
    driver = Driver(TWO)
    number = driver.grant(amounts={"cpu": 100, "memory": 50})
    (before,) = driver.rows()
    resize(driver, number, cpu=40)
    (after,) = driver.rows()
    assert after._replace(lot=before.lot) == before
    assert (driver.granted("cpu"), driver.granted("memory")) == (40, 50)
    resize(driver, number, cpu=300)
    assert driver.granted("cpu") == 300


def test_the_same_again_records_nothing() -> None:
    driver = Driver()
    number, before = driver.grant(), driver.seq
    resize(driver, number, cpu=100)
    assert driver.seq == before


def test_more_than_is_free_is_refused_with_the_gap_and_changes_nothing() -> None:
    driver = Driver()
    number = driver.grant()
    driver.grant("b", amounts={"cpu": 800})
    refused = refusal(driver, number, cpu=250)
    assert refused.reason == "INSUFFICIENT_RESOURCES"
    found = {key: refused.metadata[f"cpu.{key}"] for key in ("required", "available", "gap", "bound")}
    assert found == {"required": "150", "available": "100", "gap": "50", "bound": "pool"}
    assert driver.granted() == 900
    resize(driver, number, cpu=200)


def test_quotas_and_owner_limits_bound_growth() -> None:
    driver = Driver(Rules(default_pools=(CPU,), owner_limits={"cpu": 300}))
    number = driver.grant(tenant="t")
    driver.do(SetQuota(QuotaRow("t", (("cpu", 150),))))
    assert refusal(driver, number, cpu=200).metadata["cpu.bound"] == "quota"
    driver.do(SetQuota(QuotaRow("t", (("cpu", 900),))))
    assert refusal(driver, number, cpu=301).metadata["cpu.bound"] == "owner"


def test_only_the_holder_resizes_what_it_has() -> None:
    driver = Driver(TWO)
    number = driver.grant()
    assert refusal(driver, number, "b", cpu=50).reason == "ALLOCATION_NOT_FOUND"
    assert refusal(driver, 77, cpu=50).reason == "ALLOCATION_NOT_FOUND"
    assert refusal(driver, number, memory=50).reason == "INVALID_ARGUMENT"


def test_who_was_asked_to_release_gets_no_more_but_may_give_back() -> None:
    driver = Driver()
    number = driver.grant(priority=0)
    driver.grant("b", amounts={"cpu": 900}, priority=9)
    driver.allocate("c", emergency=True, specs=(spec(priority=5),))
    assert driver.machine.tables.allocations[number].revoke_at
    driver.update(capacity=2_000)
    assert refusal(driver, number, cpu=150).metadata["cpu.available"] == "0"
    resize(driver, number, cpu=50)


def test_what_is_used_is_summed_up_with_the_new_amount() -> None:
    driver = Driver()
    number = driver.grant()
    driver.do(ReportUsage((UsageReport(number, (Amount("cpu", 100),)),)))
    resize(driver, number, cpu=200)
    (shown,) = driver.machine.tables.used.efficiencies()
    assert (shown.granted, shown.used) == (200, 100)


def test_an_emergency_grows_only_for_those_who_may_declare_one() -> None:
    driver = Driver(Rules(default_pools=(CPU._replace(reserve=500),)))
    number = driver.allocate("a", emergency=True, specs=(spec(),)).numbers[0]
    driver.principal = "somebody"
    assert refusal(driver, number, cpu=900).reason == "PERMISSION_DENIED"
    driver.principal = "local"
    resize(driver, number, cpu=900)
