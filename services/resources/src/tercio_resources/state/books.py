"""The meters and blocks that a command or event touches, as they are after what it did so far.

Deciding and applying share it, so that both reckon alike: one looks at the books, the other stores them.
"""

from __future__ import annotations

from tercio_resources.state import meters
from tercio_resources.state.budget_rows import NOTHING_SPENT, BlockRow, BudgetRow, MeterRow, Settlement, Spending
from tercio_resources.state.tables import ResourceTables

_PARTS_OF_A_MINUTE = 10**6
"""Tags count in millionths of what the account has in a minute."""


class Books:
    """See above; `now` is fleet time in ms."""

    def __init__(self, tables: ResourceTables, now: int) -> None:
        self._tables = tables
        self._now = now
        self._meters: dict[str, MeterRow] = {}
        self._blocks: dict[tuple[str, str], BlockRow | None] = {}

    def path(self, budget_id: str) -> tuple[BudgetRow, ...]:
        """Return a budget and those above it, the account last."""
        found = [self._tables.budgets[budget_id]]
        while found[-1].parent_id:
            found.append(self._tables.budgets[found[-1].parent_id])
        return tuple(found)

    def meter(self, budget: BudgetRow) -> MeterRow:
        """Return what flows through a budget, as of now."""
        name = budget.budget_id
        if name not in self._meters:
            row = self._tables.meters.get(name) or MeterRow(name, filled_now=self._now)
            self._meters[name] = meters.filled(row, budget, self._now)
        return self._meters[name]

    def block(self, budget_id: str, holder: str) -> BlockRow:
        """Return what a holder has of a budget."""
        key = budget_id, holder
        if key not in self._blocks:
            self._blocks[key] = self._tables.blocks.get(key)
        return self._blocks[key] or BlockRow(budget_id, holder)

    def settle(self, holder: str, item: Settlement, until: int) -> None:
        """Enter a settlement on every level."""
        block, path = self.block(item.budget_id, holder), self.path(item.budget_id)
        account = path[-1]
        debt = item.spent.plus(item.spent.least(block.leased), -1)
        for budget in path:
            meter = self.meter(budget)
            self._meters[budget.budget_id] = meters.settled(meter, budget, item, debt=debt, price=account.price)
        kept = block.leased.plus(item.spent.least(block.leased), -1).plus(item.returned, -1).plus(item.leased)
        had = item.taken.plus(item.leased)
        finish = block.finish
        if had != NOTHING_SPENT:
            start = self.tag(block, account)
            finish = start + _charge(had, account.rates)
            meter = self.meter(account)
            self._meters[account.budget_id] = meter._replace(virtual=start)
        self._blocks[item.budget_id, holder] = block._replace(leased=kept, until=until, finish=finish)

    def lose(self, budget_id: str, holder: str) -> None:
        """Count what a lost holder had as spent."""
        block = self.block(budget_id, holder)
        self.settle(holder, Settlement(budget_id, spent=block.leased), 0)
        self._blocks[budget_id, holder] = None

    def freeze(self, account: BudgetRow, until: int) -> None:
        """Let an account save nothing up until then."""
        self._meters[account.budget_id] = meters.frozen(self.meter(account), until)

    def tag(self, block: BlockRow, account: BudgetRow) -> int:
        """Return by what turns are taken: start-time fair queueing (Goyal, Vin and Cheng, 1996)."""
        return max(block.finish, self.meter(account).virtual)

    def store(self) -> None:
        """Write what was changed into the tables."""
        for meter in self._meters.values():
            self._tables.meters.put(meter)
        for key, block in self._blocks.items():
            if block is not None:
                self._tables.blocks.put(block)
            elif key in self._tables.blocks:
                self._tables.blocks.delete(key)


def _charge(had: Spending, rates: Spending) -> int:
    """Return what part of a minute's rates it is, of the scarcer of the two, rounded up."""
    return max(-(-amount * _PARTS_OF_A_MINUTE // rate) if rate else 0 for amount, rate in zip(had, rates, strict=True))
