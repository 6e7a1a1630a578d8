"""Token buckets in integers, on fleet time.

Levels are in 60,000ths, so that they rise by the rate a minute each millisecond. What is saved up and what is leased
are together at most one burst: however long holders keep what they have, in any span of time what is spent is at most
the rate times the span, and one burst.
"""

from __future__ import annotations

from typing import Final

from tercio_resources.state.budget_rows import BudgetRow, MeterRow, Settlement, Spending

PARTS: Final = 60_000
"""Of one token or request, in a level."""
UNBOUNDED: Final = 10**15
"""What is left of what is not bounded."""


def burst_of(rate: int, burst: int) -> int:
    """Return the most that may be saved up, at least one."""
    return max(1, rate * burst // PARTS)


def bursts(budget: BudgetRow) -> Spending:
    """Return the most that one call may need."""
    return Spending(*(burst_of(rate, budget.burst) if rate else UNBOUNDED for rate in budget.rates))


def filled(meter: MeterRow, budget: BudgetRow, now: int) -> MeterRow:
    """Return the meter as it is at `now`."""
    elapsed = max(0, now - meter.filled_now)
    levels = Spending(
        *(
            min(level + rate * elapsed, (burst_of(rate, budget.burst) - leased) * PARTS)
            for level, leased, rate in zip(meter.levels, meter.leased, budget.rates, strict=True)
        )
    )
    return meter._replace(levels=levels, filled_now=max(now, meter.filled_now))


def settled(meter: MeterRow, budget: BudgetRow, item: Settlement, *, debt: Spending, price: int) -> MeterRow:
    """Return the meter after a settlement, of which `debt` was spent without a lease; it was filled before."""
    leased = meter.leased.plus(item.spent.plus(debt, -1), -1).plus(item.returned, -1).plus(item.leased)
    gained = item.refunded.plus(item.returned).plus(debt, -1).plus(item.taken, -1).plus(item.leased, -1)
    spent = item.spent.plus(item.taken).plus(item.refunded, -1)
    levels = Spending(*(level + PARTS * more for level, more in zip(meter.levels, gained, strict=True)))
    after = meter._replace(
        levels=levels, leased=leased, spent=meter.spent.plus(spent), cost=meter.cost + spent.tokens * price
    )
    return filled(after, budget, after.filled_now)


def frozen(meter: MeterRow, until: int) -> MeterRow:
    """Return the meter of an account whose provider refused a call: what was thought to be left is not there."""
    levels = Spending(*(min(level, 0) for level in meter.levels))
    return meter._replace(levels=levels, filled_now=max(until, meter.filled_now))


def left(meter: MeterRow, budget: BudgetRow) -> Spending:
    """Return what can be leased by the rates; below 0 after a debt."""
    return Spending(
        *(level // PARTS if rate else UNBOUNDED for level, rate in zip(meter.levels, budget.rates, strict=True))
    )


def affordable(meter: MeterRow, budget: BudgetRow, price: int) -> int:
    """Return how many tokens the cost limit allows beyond those that are leased; below 0 when it was passed."""
    if not (price and budget.cost_limit):
        return UNBOUNDED
    return (budget.cost_limit * 10**6 - meter.cost) // price - meter.leased.tokens
