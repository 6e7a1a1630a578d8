"""Usage: what holders report, kept while they hold it."""

from __future__ import annotations

import pytest

from support.resources_machine import CPU, Driver
from tercio_common.errors import Refusal
from tercio_resources.state.commands import ReportUsage, Transfer, UsageReport
from tercio_resources.state.rows import Amount, PoolRow, Used
from tercio_resources.state.rules import Rules
from tercio_resources.state.usage import Unknown


def report(driver: Driver, number: int, used: int, *, unit: str = "", **fields: str) -> tuple[int, ...]:
    """Report what is used of cpu; return the numbers that are not held."""
    unknown: Unknown = driver.do(ReportUsage((UsageReport(number, (Amount("cpu", used, unit),), **fields),)))
    return unknown.numbers


def efficiencies(driver: Driver) -> list[tuple[str, int, int, int]]:
    """Return dimension, granted, used and thousandths."""
    return [(*each, each.per_mille) for each in driver.machine.tables.used.efficiencies()]


def test_the_last_report_and_the_peak_are_kept() -> None:
    driver = Driver()
    number = driver.grant()
    assert report(driver, number, 80) == ()
    report(driver, number, 30)
    row = driver.machine.tables.usages[number]
    assert row.used == (Used("cpu", 100, 30, 80),)
    assert row.reports == 2


def test_what_a_holder_does_not_name_is_of_the_type_that_was_asked_for() -> None:
    driver = Driver()
    number = driver.grant(task_type="compile")
    report(driver, number, 80)
    assert driver.machine.tables.usages[number].task_type == "compile"
    report(driver, number, 80, task_type="link")
    assert driver.machine.tables.usages[number].task_type == "link"


def test_an_owner_reports_of_whatever_it_holds() -> None:
    driver = Driver(Rules(default_pools=(CPU, PoolRow("memory", "memory", "MB", 100))))
    first, second = driver.grant("a"), driver.grant("a", amounts={"cpu": 50, "memory": 10})
    used = (Amount("cpu", 80), Amount("memory", 7), Amount("tokens", 5))
    reports = (UsageReport(0, used, owner="a"), UsageReport(0, used, owner="nobody"), UsageReport(99, used))
    assert driver.do(ReportUsage(reports)) == Unknown((99,), ("nobody",))
    usages = driver.machine.tables.usages
    assert usages[first].used == (Used("cpu", 100, 80, 80),)
    assert usages[second].used == (Used("memory", 10, 7, 7),)


def test_efficiency_counts_only_holders_that_report_and_none_over_its_grant() -> None:
    driver = Driver()
    first, second, _silent = driver.grant("a"), driver.grant("b"), driver.grant("c")
    assert efficiencies(driver) == []
    report(driver, first, 150)
    report(driver, second, 50)
    assert efficiencies(driver) == [("cpu", 200, 150, 750)]
    driver.release(second)
    assert efficiencies(driver) == [("cpu", 100, 100, 1_000)]
    driver.release(first)
    assert efficiencies(driver) == []


def test_what_is_not_held_is_answered_and_what_was_not_granted_left_out() -> None:
    driver = Driver()
    number = driver.grant()
    assert report(driver, 77, 1) == (77,)
    driver.do(ReportUsage((UsageReport(number, (Amount("memory", 5),)),)))
    assert driver.machine.tables.usages[number].used == ()


def test_a_report_in_another_unit_is_refused() -> None:
    driver = Driver()
    number = driver.grant()
    with pytest.raises(Refusal, match="UNIT_MISMATCH"):
        report(driver, number, 1, unit="cores")


def test_usage_survives_a_hand_over_and_a_take_over() -> None:
    driver = Driver()
    number = driver.grant()
    report(driver, number, 80)
    driver.do(Transfer(from_owner="a", to_owner="b"))
    driver.take_over()
    assert driver.machine.tables.usages[number].used == (Used("cpu", 100, 80, 80),)
