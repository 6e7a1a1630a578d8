"""What the tables hold of budgets."""

from __future__ import annotations

from typing import NamedTuple


class Spending(NamedTuple):
    """An amount of tokens and requests."""

    tokens: int = 0
    requests: int = 0

    def plus(self, other: Spending, sign: int = 1) -> Spending:
        """Return the sum, or with a sign of -1 the difference."""
        return Spending(self.tokens + sign * other.tokens, self.requests + sign * other.requests)

    def least(self, other: Spending) -> Spending:
        """Return the lesser of each."""
        return Spending(min(self.tokens, other.tokens), min(self.requests, other.requests))


NOTHING_SPENT = Spending()


class BudgetRow(NamedTuple):
    """What is set of one budget.

    Attributes:
        parent_id: the one above; empty for an account.
        rates: a minute; 0 does not bound them.
        burst: what may be saved up, in ms at these rates.
        price: of 10^6 tokens, in millionths of the currency; of an account.
        cost_limit: in millionths of the currency; 0 does not bound it.
        frozen_until: nothing of the account is leased until then, in ms of fleet time.
    """

    budget_id: str
    parent_id: str = ""
    rates: Spending = NOTHING_SPENT
    burst: int = 60_000
    price: int = 0
    cost_limit: int = 0
    frozen_until: int = 0


class MeterRow(NamedTuple):
    """What flows through one budget.

    Attributes:
        levels: what may be leased, in 60,000ths; below 0 after a debt.
        filled_now: as of when the levels are, in ms of fleet time.
        leased: and not yet settled.
        spent: since the beginning.
        cost: of that, in 10^-12 of the currency.
        virtual: of an account the tag of the one who was served last.
    """

    budget_id: str
    levels: Spending = NOTHING_SPENT
    filled_now: int = 0
    leased: Spending = NOTHING_SPENT
    spent: Spending = NOTHING_SPENT
    cost: int = 0
    virtual: int = 0


class BlockRow(NamedTuple):
    """What one holder has of one budget.

    Attributes:
        leased: and not yet settled.
        until: when the holder is lost, in ms of fleet time.
        finish: its tag: how much of its account it had, for whose turn it is.
    """

    budget_id: str
    holder: str
    leased: Spending = NOTHING_SPENT
    until: int = 0
    finish: int = 0


class Settlement(NamedTuple):
    """What a holder did with one budget.

    Attributes:
        spent: of its blocks; more than they hold is a debt.
        refunded: was counted as spent, and was not.
        returned: of its blocks.
        taken: leased for a call that waited, which counts as spent.
        leased: beyond that.
    """

    budget_id: str
    spent: Spending = NOTHING_SPENT
    refunded: Spending = NOTHING_SPENT
    returned: Spending = NOTHING_SPENT
    taken: Spending = NOTHING_SPENT
    leased: Spending = NOTHING_SPENT
