"""What can be asked about budgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tercio_resources.state.budget_rows import NOTHING_SPENT, BudgetRow, Spending


@dataclass(frozen=True, slots=True)
class CreateBudget:
    """Add a budget."""

    row: BudgetRow


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateBudget:
    """Change a budget; None leaves a field as it is."""

    budget_id: str
    tokens: int | None = None
    requests: int | None = None
    burst: int | None = None
    price: int | None = None
    cost_limit: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteBudget:
    """Remove a budget."""

    budget_id: str


class Ask(NamedTuple):
    """What a holder says of one budget; without a need it leases nothing."""

    budget_id: str
    spent: Spending = NOTHING_SPENT
    refunded: Spending = NOTHING_SPENT
    need: Spending = NOTHING_SPENT
    want: Spending = NOTHING_SPENT


@dataclass(frozen=True, slots=True)
class LeaseBlocks:
    """Settle, and lease what is needed."""

    holder: str
    asks: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class ReturnBlocks:
    """Settle, and give back the rest."""

    holder: str
    asks: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class ReportThrottled:
    """Freeze the account of a budget for that long, in ms."""

    budget_id: str
    retry_after: int


BudgetCommand = CreateBudget | UpdateBudget | DeleteBudget | LeaseBlocks | ReturnBlocks | ReportThrottled
