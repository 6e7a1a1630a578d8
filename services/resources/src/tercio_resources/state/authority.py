"""Who may change what everybody shares: pools, quotas, budgets, strategies, and what holders are left with.

What was granted or reserved is taken back, resized and handed over by the principal that asked for it, and by
operators. Names of owners are seen by everybody, so to know one is no right.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from tercio_common.errors import Refusal
from tercio_common.machine.calls import EFFECT
from tercio_resources.state.budget_commands import CreateBudget, DeleteBudget, UpdateBudget
from tercio_resources.state.commands import (
    CreatePool,
    DeletePool,
    DeleteQuota,
    Optimize,
    SetQuota,
    SetStrategy,
    UpdatePool,
)
from tercio_resources.state.cost_rows import SetCostLimit, SetPrice
from tercio_resources.state.rules import Rules
from tercio_resources.state.worktree_commands import CleanWorktree, CreateWorktreePool, RemoveWorktree


class Held(Protocol):
    """An allocation or a reservation."""

    @property
    def number(self) -> int:
        """Its id."""

    @property
    def owner(self) -> str:
        """For whom it is."""

    @property
    def principal(self) -> str:
        """Who asked for it; empty in old rows, which anybody may change."""


_FOR_OPERATORS: Final = (
    CreatePool,
    UpdatePool,
    DeletePool,
    SetQuota,
    DeleteQuota,
    CreateBudget,
    UpdateBudget,
    DeleteBudget,
    Optimize,
    SetStrategy,
    CreateWorktreePool,
    CleanWorktree,
    RemoveWorktree,
    SetPrice,
    SetCostLimit,
)


def check(command: Any, principal: str, rules: Rules) -> None:
    """Raise PERMISSION_DENIED unless the principal may give this command; the leader itself may."""
    if isinstance(command, _FOR_OPERATORS) and principal not in rules.operators and principal != EFFECT.principal:
        what = type(command).__name__
        raise Refusal(
            "PERMISSION_DENIED", f"{principal!r} is no operator, and {what} is for operators; the settings name them"
        )


def check_holder(row: Held, principal: str, rules: Rules) -> None:
    """Raise PERMISSION_DENIED unless the principal asked for it, or is an operator."""
    if row.principal not in {"", principal} and principal not in rules.operators:
        raise Refusal(
            "PERMISSION_DENIED",
            f"{row.number} of {row.owner!r} was asked for by another principal than {principal!r}; ask that one, or an "
            "operator: the settings name them",
        )
