"""Budgets under random leases, refunds, debts, silences, freezes and take-overs.

The driver checks the sums of every level after each step. Here the test keeps its own book of what was spent: in no
span of time more than the rate times the span and one burst, whatever holders keep, lose or send twice.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from support.resources_machine import Driver, tables
from tercio_resources.state import meters
from tercio_resources.state.budget_commands import Ask, CreateBudget, LeaseBlocks, ReportThrottled, ReturnBlocks
from tercio_resources.state.budget_rows import BudgetRow, Spending
from tercio_resources.state.budgets import BLOCK_TTL

HOLDERS = st.sampled_from(["a", "b", "c"])
LEAVES = st.sampled_from(["account", "tenant", "agent"])
ROWS = (
    BudgetRow("account", rates=Spending(60_000, 600), burst=10_000, price=3_000_000, cost_limit=10_000_000),
    BudgetRow("tenant", "account", Spending(30_000, 0), 10_000),
    BudgetRow("agent", "tenant", Spending(0, 60), 60_000),
)


class Budgets(RuleBasedStateMachine):
    """Holders, and a leader that may be replaced after any step."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver()
        for row in ROWS:
            self.driver.do(CreateBudget(row))
        # Of each budget and kind what a bucket that is filled with spending and leaks at the rate would hold.
        self.held = {row.budget_id: [0, 0] for row in ROWS}
        self.used = {(row.budget_id, kind): 0 for row in ROWS for kind in range(2)}

    @rule(
        budget=LEAVES,
        holder=HOLDERS,
        need=st.integers(0, 4_000),
        more=st.integers(0, 4_000),
        part=st.integers(0, 4),
        refunded=st.integers(0, 500),
    )
    def lease(self, budget: str, holder: str, need: int, more: int, part: int, refunded: int) -> None:
        spent = self._of_block(budget, holder, part)
        needs = Spending(need, 1) if need else Spending()
        wants = Spending(need + more, 3) if need else Spending()
        ask = Ask(budget, spent, Spending(refunded, 0), needs, wants)
        (outcome,) = self.driver.do(LeaseBlocks(holder, (ask,)))
        self.driver.session.demands.follow("account", holder, ask, outcome, self.driver.now)

    @rule(budget=LEAVES, holder=HOLDERS, part=st.integers(0, 4))
    def give_back(self, budget: str, holder: str, part: int) -> None:
        self.driver.do(ReturnBlocks(holder, (Ask(budget, self._of_block(budget, holder, part)),)))
        assert self._of_block(budget, holder, 4) == Spending()

    @rule(budget=LEAVES, retry_after=st.integers(1, 20_000))
    def throttle(self, budget: str, retry_after: int) -> None:
        self.driver.do(ReportThrottled(budget, retry_after))

    @rule(duration=st.integers(1, 2 * BLOCK_TTL))
    def listen(self, duration: int) -> None:
        before = self.driver.now
        self.driver.listen(duration)
        for row in ROWS:
            held = self.held[row.budget_id]
            for kind, rate in enumerate(row.rates):
                held[kind] = max(0, held[kind] - rate * (self.driver.now - before))

    @rule()
    def take_over(self) -> None:
        self.driver.take_over()

    @invariant()
    def nothing_is_spent_over_the_rates_and_one_burst(self) -> None:
        machine = self.driver.machine
        for row in ROWS:
            meter = machine.tables.meters[row.budget_id]
            for kind, rate in enumerate(row.rates):
                if rate:
                    used = meter.spent[kind] * meters.PARTS
                    before, self.used[row.budget_id, kind] = self.used[row.budget_id, kind], used
                    self.held[row.budget_id][kind] = max(0, self.held[row.budget_id][kind] + used - before)
                    assert self.held[row.budget_id][kind] <= meters.burst_of(rate, row.burst) * meters.PARTS
        account = machine.tables.meters["account"]
        assert account.cost + account.leased.tokens * ROWS[0].price <= ROWS[0].cost_limit * 10**6

    @invariant()
    def a_replay_and_a_snapshot_give_the_same(self) -> None:
        present = tables(self.driver.machine)
        assert tables(self.driver.replayed()) == present
        assert tables(self.driver.reloaded()) == present

    def _of_block(self, budget: str, holder: str, quarters: int) -> Spending:
        block = self.driver.machine.tables.blocks.get((budget, holder))
        leased = block.leased if block is not None else Spending()
        return Spending(leased.tokens * quarters // 4, leased.requests * quarters // 4)


TestBudgets = Budgets.TestCase
TestBudgets.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
