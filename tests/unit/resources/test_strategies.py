"""Strategies: named in the state, swapped by a command, and the same on every replica."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.resources_machine import CPU, Driver, spec, tables
from tercio_common.errors import Refusal
from tercio_common.strategies import choosing
from tercio_common.strategies.catalogue import Catalogue
from tercio_resources.settings import ResourcesSettings
from tercio_resources.state.commands import SetStrategy
from tercio_resources.state.rows import PoolRow, StrategyRow
from tercio_resources.state.rules import Rules
from tercio_resources.state.strategies import Subject

SMALL, LARGE, WIDE = (
    PoolRow("b-small", "cpu", "millicores", 300),
    PoolRow("c-large", "cpu", "millicores", 600),
    PoolRow("a-wide", "cpu", "millicores", 500),
)
RULES = Rules(default_pools=(SMALL, LARGE, WIDE))


def using(name: str, rules: Rules = RULES) -> Driver:
    driver = Driver(rules)
    driver.do(SetStrategy(StrategyRow(Subject.CHOOSING, name)))
    return driver


def pools_of(driver: Driver) -> list[str]:
    return [row.lot.parts[0].pool_id for row in driver.rows()]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("best_fit", ["b-small", "b-small", "b-small", "a-wide"]),
        ("first_fit", ["a-wide", "a-wide", "a-wide", "a-wide"]),
        ("worst_fit", ["c-large", "a-wide", "c-large", "a-wide"]),
        ("load_balanced", ["a-wide", "b-small", "c-large", "c-large"]),
        ("round_robin", ["a-wide", "b-small", "c-large", "a-wide"]),
    ],
)
def test_the_pool_is_chosen_by_the_strategy_in_use(name: str, expected: list[str]) -> None:
    driver = using(name)
    driver.allocate(*"wxyz")
    assert pools_of(driver) == expected


def test_turns_go_on_over_records_take_overs_and_snapshots() -> None:
    driver = using("round_robin")
    for owner in "wxyz":
        driver.grant(owner)
        driver.release(driver.rows()[-1].number)
        driver.take_over()
        driver.machine = driver.reloaded()
    driver.grant("last")
    assert pools_of(driver) == ["b-small"]


def test_priority_gives_the_urgent_the_roomiest_pool() -> None:
    driver = using("priority")
    driver.grant("urgent", priority=9)
    driver.grant("patient")
    assert pools_of(driver) == ["c-large", "b-small"]


@pytest.mark.parametrize("name", ["adaptive", "historical", "priority"])
def test_a_pool_whose_holders_are_lost_is_left_alone(name: str) -> None:
    rules = replace(RULES, default_pools=(CPU, CPU._replace(pool_id="cpu-2")))
    driver = using("first_fit", rules)
    driver.allocate("lost-1", "lost-2")
    driver.listen(70_000)
    record = driver.machine.tables.pool_records["cpu"]
    assert (record.ended, record.failed, driver.granted()) == (2, 2, 0)
    driver.do(SetStrategy(StrategyRow(Subject.CHOOSING, name)))
    driver.grant("next", priority=9)
    assert pools_of(driver) == ["cpu-2"]


def test_a_strategy_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Refusal, match="STRATEGY_NOT_FOUND"):
        using("guess")
    driver = Driver()
    with pytest.raises(Refusal, match="STRATEGY_NOT_FOUND"):
        driver.do(SetStrategy(StrategyRow(Subject.SHARING, "best_fit")))


def test_setting_the_same_strategy_again_records_nothing() -> None:
    driver = using("round_robin")
    before = driver.seq
    driver.do(SetStrategy(StrategyRow(Subject.CHOOSING, "round_robin")))
    assert driver.seq == before


def broken(*_: Any) -> tuple[int]:
    """Fail."""
    raise ZeroDivisionError


def test_a_strategy_that_fails_is_named_and_grants_nothing() -> None:
    strategies = Catalogue("choosing", {**choosing.BUILT_IN, "broken": broken})
    driver = using("broken", replace(RULES, choosing=strategies))
    with pytest.raises(Refusal, match=r"RESOURCE_ALLOCATION_EXCEPTION.*ZeroDivisionError"):
        driver.allocate("a", specs=(spec(),))
    driver.do(SetStrategy(StrategyRow(Subject.CHOOSING, "best_fit")))
    assert driver.grant("a")


def test_a_replica_without_the_strategy_that_was_set_uses_that_of_the_settings() -> None:
    strategies = Catalogue("choosing", {**choosing.BUILT_IN, "mine": choosing.worst_fit})
    driver = using("mine", replace(RULES, choosing=strategies))
    driver.rules = RULES
    before = tables(driver.machine)
    driver.take_over()
    assert tables(driver.machine) == before
    driver.grant("a")
    assert pools_of(driver) == ["b-small"]


def test_settings_name_strategies_that_exist() -> None:
    assert ResourcesSettings(choosing="round_robin").rules().default_choosing == "round_robin"
    with pytest.raises(ValueError, match="no strategy 'guess'"):
        ResourcesSettings(sharing="guess")
