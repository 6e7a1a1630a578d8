"""Budgets: levels, turns, debts, refunds, freezes, lost holders and cost limits, by example."""

from __future__ import annotations

from typing import Any

import pytest

from support.resources_machine import Driver
from tercio_common.errors import Refusal
from tercio_resources.state.budget_commands import (
    Ask,
    CreateBudget,
    DeleteBudget,
    LeaseBlocks,
    ReportThrottled,
    ReturnBlocks,
    UpdateBudget,
)
from tercio_resources.state.budget_rows import BudgetRow, MeterRow, Spending
from tercio_resources.state.budgets import BLOCK_TTL
from tercio_resources.state.demands import Outcome

ACCOUNT = BudgetRow("account", rates=Spending(60_000, 0), burst=10_000)
"""One token each millisecond, at most 10,000 saved up."""


class Budgets(Driver):
    """Driver with the words of holders."""

    def ask(self, holder: str, need: int = 0, *, budget: str = "account", want: int = 0, **fields: int) -> Outcome:
        given = {name: Spending(tokens) for name, tokens in fields.items()}
        ask = Ask(budget, need=Spending(need), want=Spending(want), **given)
        (outcome,) = self.do(LeaseBlocks(holder, (ask,)))
        self.session.demands.follow("account", holder, ask, outcome, self.now)
        assert isinstance(outcome, Outcome)
        return outcome

    def meter(self, budget: str = "account") -> MeterRow:
        return self.machine.tables.meters[budget]


@pytest.fixture
def budgets() -> Budgets:
    driver = Budgets()
    driver.do(CreateBudget(ACCOUNT))
    return driver


def refusal(budgets: Budgets, command: Any) -> str:
    with pytest.raises(Refusal) as caught:
        budgets.do(command)
    return caught.value.reason


def test_a_budget_begins_empty_and_fills_at_its_rate(budgets: Budgets) -> None:
    assert budgets.ask("a", 1_000)[1:3] == ("INSUFFICIENT_RESOURCES", 1_000)
    budgets.listen(999)
    assert budgets.ask("a", 1_000)[1:3] == ("INSUFFICIENT_RESOURCES", 20)
    budgets.listen(1)
    assert budgets.ask("a", 1_000).reason == ""
    assert budgets.meter().spent == Spending(1_000)


def test_at_most_one_burst_is_saved_up_and_more_can_never_be_needed(budgets: Budgets) -> None:
    budgets.listen(60_000)
    assert budgets.ask("a", 10_001).reason == "RESOURCE_LIMIT_EXCEEDED"
    assert budgets.ask("a", 10_000).reason == ""
    assert budgets.ask("a", 1).reason == "INSUFFICIENT_RESOURCES"


def test_what_is_left_when_nobody_waits_is_leased_in_advance_and_returned(budgets: Budgets) -> None:
    budgets.listen(10_000)
    assert budgets.ask("a", 1_000, want=3_000).leased == Spending(2_000)
    budgets.do(ReturnBlocks("a", (Ask("account", spent=Spending(500)),)))
    assert (budgets.meter().leased, budgets.meter().spent) == (Spending(), Spending(1_500))


def test_whoever_had_the_least_is_served_first(budgets: Budgets) -> None:
    budgets.listen(2_000)
    assert budgets.ask("a", 2_000).reason == ""
    assert budgets.ask("a", 1_000).reason == "INSUFFICIENT_RESOURCES"
    assert budgets.ask("b", 1_000).reason == "INSUFFICIENT_RESOURCES"
    budgets.listen(1_000)
    assert budgets.ask("a", 1_000).retry_after == 1_000
    assert budgets.ask("b", 1_000).reason == ""


def test_who_does_not_ask_again_loses_its_place(budgets: Budgets) -> None:
    assert budgets.ask("a", 1_000).retry_after == 1_000
    budgets.listen(1_000)
    assert budgets.ask("b", 1_000).reason == "INSUFFICIENT_RESOURCES"
    budgets.listen(2_000)
    assert budgets.ask("b", 1_000).reason == ""


def test_who_is_held_up_by_a_lower_level_holds_up_nobody_above(budgets: Budgets) -> None:
    budgets.do(CreateBudget(BudgetRow("tenant", "account", Spending(6_000), 10_000)))
    budgets.listen(1_000)
    assert budgets.ask("a", 1_000, budget="tenant").reason == "INSUFFICIENT_RESOURCES"
    assert budgets.ask("b", 1_000).reason == ""


def test_a_debt_is_paid_off_first_and_a_refund_is_free_again(budgets: Budgets) -> None:
    budgets.listen(1_000)
    budgets.ask("a", 1_000)
    budgets.ask("a", spent=500)
    assert budgets.ask("a", 1_000).retry_after == 1_500
    assert budgets.ask("a", 1_000, refunded=1_000).retry_after == 500
    assert budgets.meter().spent == Spending(500)


def test_what_a_lost_holder_had_counts_as_spent_once(budgets: Budgets) -> None:
    budgets.listen(10_000)
    budgets.ask("a", 1_000, want=3_000)
    budgets.take_over()
    budgets.listen(BLOCK_TTL)
    assert (budgets.meter().leased, budgets.meter().spent) == (Spending(), Spending(3_000))
    assert len(budgets.machine.tables.blocks) == 0


def test_a_refusal_of_the_provider_freezes_the_whole_account(budgets: Budgets) -> None:
    budgets.do(CreateBudget(BudgetRow("tenant", "account")))
    budgets.listen(10_000)
    budgets.do(ReportThrottled("tenant", 5_000))
    budgets.do(ReportThrottled("tenant", 1_000))
    assert budgets.ask("a", 1_000).retry_after == 5_000
    budgets.listen(5_000)
    assert budgets.ask("a", 1_000).retry_after == 1_000, "what was thought to be left was not there"


def test_a_cost_limit_is_a_hard_stop_until_it_is_raised(budgets: Budgets) -> None:
    budgets.do(UpdateBudget(budget_id="account", price=3_000_000, cost_limit=6_000))  # 3 a million: 2,000 tokens
    budgets.listen(10_000)
    assert budgets.ask("a", 1_500, want=5_000).leased == Spending(500)
    assert budgets.ask("b", 1).reason == "BUDGET_SPENT"
    budgets.do(UpdateBudget(budget_id="account", cost_limit=9_000))
    assert budgets.ask("b", 1_000).reason == ""


def test_budgets_are_a_tree_of_four_levels(budgets: Budgets) -> None:
    for name, parent in (("tenant", "account"), ("agent", "tenant"), ("task", "agent")):
        budgets.do(CreateBudget(BudgetRow(name, parent)))
    assert refusal(budgets, CreateBudget(BudgetRow("call", "task"))) == "BUDGET_TOO_DEEP"
    assert refusal(budgets, CreateBudget(BudgetRow("task", "agent"))) == "BUDGET_EXISTS"
    assert refusal(budgets, CreateBudget(BudgetRow("other", "nobody"))) == "BUDGET_NOT_FOUND"
    assert refusal(budgets, DeleteBudget("agent")) == "BUDGET_IN_USE"
    budgets.listen(1_000)
    budgets.ask("a", 500, budget="task", want=900)
    assert [budgets.meter(name).spent.tokens for name in ("account", "tenant", "agent", "task")] == [500] * 4
    assert refusal(budgets, DeleteBudget("task")) == "BUDGET_IN_USE"
    budgets.do(ReturnBlocks("a", (Ask("task"),)))
    budgets.do(DeleteBudget("task"))
    assert refusal(budgets, DeleteBudget("task")) == "BUDGET_NOT_FOUND"
