"""What happened to budgets."""

from __future__ import annotations

from dataclasses import dataclass

from tercio_resources.state.budget_rows import BudgetRow, Settlement


@dataclass(frozen=True, slots=True)
class BudgetSet:
    """A budget was created or changed."""

    row: BudgetRow


@dataclass(frozen=True, slots=True)
class BudgetDeleted:
    """A budget was deleted."""

    budget_id: str


@dataclass(frozen=True, slots=True)
class BlocksSettled:
    """A holder settled, and may have leased something; it is lost at `until`, in ms of fleet time."""

    holder: str
    items: tuple[Settlement, ...]
    until: int


@dataclass(frozen=True, slots=True)
class BlocksLost:
    """Holders did not settle in time: each is a budget and its holder."""

    keys: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AccountFrozen:
    """A provider refused a call; nothing is leased until then, in ms of fleet time."""

    budget_id: str
    until: int


BudgetEvent = BudgetSet | BudgetDeleted | BlocksSettled | BlocksLost | AccountFrozen
