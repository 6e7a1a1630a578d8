"""Costs: exact to the millisecond, for whom it was held, and a limit is a hard stop."""

from __future__ import annotations

import pytest

from support.resources_machine import CPU, TTL, Driver, spec, tables
from tercio_common.errors import Refusal
from tercio_resources.state import costs
from tercio_resources.state.commands import Release, Resize, Transfer
from tercio_resources.state.cost_rows import CostLimitRow, Payer, PriceRow, SetCostLimit, SetPrice
from tercio_resources.state.costs import CostView
from tercio_resources.state.rows import Amount
from tercio_resources.state.rules import Rules

HOUR = 3_600_000


def priced(micros: int = 36) -> Driver:
    driver = Driver(Rules(default_pools=(CPU,)))
    driver.do(SetPrice(PriceRow("cpu", micros)))
    return driver


def hold(driver: Driver, duration: int, *owners: str) -> None:
    end = driver.now + duration
    while driver.now < end:
        driver.session.renew(owners, driver.now)
        driver.listen(min(TTL // 2, end - driver.now))


def cost(driver: Driver, payer: Payer, name: str) -> int:
    return costs.total((payer, name), driver.now, driver.machine.tables)


def limit(driver: Driver, micros: int, payer: Payer = Payer.TENANT, name: str = "t") -> None:
    driver.do(SetCostLimit(CostLimitRow(payer, name, micros)))


def test_what_is_held_costs_by_the_millisecond_for_tenant_owner_and_type_of_task() -> None:
    driver = priced()
    driver.grant("a", tenant="t", task_type="compile")
    hold(driver, 999, "a")
    assert cost(driver, Payer.TENANT, "t") == 0
    hold(driver, 1, "a")
    payers = ((Payer.TENANT, "t"), (Payer.OWNER, "a"), (Payer.TASK_TYPE, "compile"))
    assert [cost(driver, *each) for each in payers] == [1, 1, 1]
    hold(driver, 9_000, "a")
    driver.release(owners=("a",))
    hold(driver, 60_000)
    assert [cost(driver, *each) for each in payers] == [10, 10, 10]
    assert cost(driver, Payer.OWNER, "b") == 0


def test_fractions_add_up_exactly() -> None:
    driver = priced(1)
    for _ in range(36):
        number = driver.grant("a", amounts={"cpu": 100})
        hold(driver, 1_000, "a")
        driver.release(number)
    assert cost(driver, Payer.OWNER, "a") == 1
    assert driver.machine.tables.costs[Payer.OWNER, "a"].parts == 36 * 100 * 1_000


def test_a_price_counts_for_what_is_granted_after_it() -> None:
    driver = priced()
    number = driver.grant("a")
    driver.do(SetPrice(PriceRow("cpu", 0)))
    hold(driver, 10_000, "a")
    assert cost(driver, Payer.OWNER, "a") == 10
    driver.do(Resize(number=number, owner="a", amounts=(Amount("cpu", 200),)))
    hold(driver, 10_000, "a")
    assert cost(driver, Payer.OWNER, "a") == 10, "its new amount has the price of its day"
    before = driver.seq
    driver.do(SetPrice(PriceRow("cpu", 0)))
    assert driver.seq == before
    with pytest.raises(Refusal, match="POOL_NOT_FOUND"):
        driver.do(SetPrice(PriceRow("gpu", 1)))


def test_who_takes_over_pays_from_then_on() -> None:
    driver = priced()
    driver.grant("a")
    hold(driver, 10_000, "a")
    driver.do(Transfer(from_owner="a", to_owner="b"))
    hold(driver, 5_000, "b")
    assert (cost(driver, Payer.OWNER, "a"), cost(driver, Payer.OWNER, "b")) == (10, 5)
    assert cost(driver, Payer.TENANT, "") == 15


def test_a_limit_is_a_hard_stop_for_grants_and_growth_and_leaves_what_is_held() -> None:
    driver = priced()
    limit(driver, 10)
    number = driver.grant("a", tenant="t")
    hold(driver, 9_999, "a")
    assert driver.grant("b", tenant="t")
    hold(driver, 1, "a", "b")
    shortage = driver.allocate("c", specs=(spec(tenant="t"),)).shortages[0]
    assert (shortage.reason, shortage.gaps[0].bound.kind) == ("COST_LIMIT_REACHED", "tenant")
    with pytest.raises(Refusal, match="COST_LIMIT_REACHED"):
        driver.do(Resize(number=number, owner="a", amounts=(Amount("cpu", 200),)))
    driver.do(Resize(number=number, owner="a", amounts=(Amount("cpu", 50),)))
    assert driver.granted() == 150
    assert driver.grant("other", tenant="u")
    assert driver.allocate("e", emergency=True, specs=(spec(tenant="t"),)).numbers[0]
    limit(driver, 1_000)
    assert driver.grant("c", tenant="t")


@pytest.mark.parametrize(("payer", "name"), [(Payer.OWNER, "a"), (Payer.TASK_TYPE, "compile")], ids=["owner", "type"])
def test_owners_and_types_of_tasks_are_limited_alike(payer: Payer, name: str) -> None:
    driver = priced()
    limit(driver, 1, payer, name)
    asked = spec(task_type="compile")
    assert driver.allocate("a", specs=(asked,)).numbers[0]
    hold(driver, 1_000, "a")
    assert driver.allocate("a", specs=(asked,)).shortages[0].reason == "COST_LIMIT_REACHED"
    limit(driver, 0, payer, name)
    assert driver.allocate("a", specs=(asked,)).numbers[0]


def test_costs_are_shown_with_what_they_grow_by_and_their_limit_over_take_overs() -> None:
    driver = priced()
    limit(driver, 1_000)
    limit(driver, 7, name="idle")
    driver.grant("a", tenant="t", amounts={"cpu": 200})
    hold(driver, 10_000, "a")
    before = tables(driver.machine)
    driver.take_over()
    driver.machine = driver.reloaded()
    assert tables(driver.machine) == before
    shown = costs.views(Payer.TENANT, driver.now, driver.machine.tables)
    assert shown == [CostView("idle", 0, 0, 7), CostView("t", 20, 7_200, 1_000)]


def test_of_too_many_payers_who_was_charged_longest_ago_is_forgotten_unless_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(costs, "MOST_PAYERS", 4)
    driver = priced()
    limit(driver, 100, Payer.OWNER, "a")
    for owner in ("a", "b", "c", "d", "e"):
        driver.grant(owner)
        hold(driver, 1_000, owner)
        driver.release(owners=(owner,))
    known = sorted(row.name for row in driver.machine.tables.costs.values() if row.payer == Payer.OWNER)
    assert known == ["a", "d", "e"]


def test_the_answer_to_a_grant_says_what_it_costs_and_how_pools_were_chosen() -> None:
    granted = priced().allocate("a", "b")
    assert (granted.rate, granted.strategy) == (7_200, "best_fit")
    assert Driver().allocate("a").rate == 0


def test_an_agent_is_charged_for_what_was_held_in_its_name_once_it_ends() -> None:
    driver = priced()
    number = driver.grant("a")
    driver.grant("b")
    hold(driver, 10_000, "a", "b")
    driver.do(Resize(number=number, owner="a", amounts=(Amount("cpu", 200),)))
    hold(driver, 10_000, "a", "b")
    assert cost(driver, Payer.AGENT, "ada") == 0
    driver.do(Release(owners=("a",), agents=("ada",)))
    driver.do(Release(owners=("b",), agents=("ada",)))
    hold(driver, 10_000)
    assert cost(driver, Payer.AGENT, "ada") == 30 + 20
    assert cost(driver, Payer.OWNER, "a") == 30
    kept = {row.owner: row.charged // costs.PARTS_A_MICRO for row in driver.machine.tables.past_allocations.values()}
    assert kept == {"a": 30, "b": 20}


def test_an_agent_is_charged_for_what_was_held_since_the_hand_over() -> None:
    driver = priced()
    driver.grant("a")
    hold(driver, 10_000, "a")
    driver.do(Transfer(from_owner="a", to_owner="b"))
    hold(driver, 5_000, "b")
    driver.do(Release(owners=("a", "b"), agents=("ada", "bert")))
    assert (cost(driver, Payer.AGENT, "ada"), cost(driver, Payer.AGENT, "bert")) == (0, 5)


def test_attempts_without_end_never_push_out_what_tenants_types_and_agents_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(costs, "MOST_PAYERS", 6)
    driver = priced()
    driver.grant("first", tenant="idle", task_type="rare")
    hold(driver, 10_000, "first")
    driver.do(Release(owners=("first",), agents=("ada",)))
    for number in range(20):
        owner = f"attempt-{number}"
        driver.grant(owner, tenant="busy")
        hold(driver, 1_000, owner)
        driver.release(owners=(owner,))
    lasting = ((Payer.TENANT, "idle"), (Payer.TASK_TYPE, "rare"), (Payer.AGENT, "ada"), (Payer.TENANT, "busy"))
    assert [cost(driver, *each) for each in lasting] == [10, 10, 10, 20]
    assert [row.name for row in driver.machine.tables.costs.values() if row.payer == Payer.OWNER] == [
        "attempt-18",
        "attempt-19",
    ]
