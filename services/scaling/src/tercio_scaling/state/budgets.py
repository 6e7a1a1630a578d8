"""Budgets: what several pools may have together. Agents that are to be there count, those that leave do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tercio_common.errors import Refusal
from tercio_scaling.state.rows import BudgetRow, PoolRow
from tercio_scaling.state.tables import ScalingTables


class Used(NamedTuple):
    """What the pools under a budget have together; the cost is an hour's, in millionths."""

    agents: int
    cost: int
    pool_ids: tuple[str, ...]


class Ledger:
    """What pools have, with the decisions of the present command."""

    def __init__(self, tables: ScalingTables) -> None:
        self._tables = tables
        self._agents: dict[str, int] = {}
        self._costs: dict[str, int] = {}

    def decided(self, row: PoolRow, agents: int) -> None:
        """Note a decision."""
        self._agents[row.pool_id] = agents
        self._costs[row.pool_id] = row.pool.agent_cost

    def agents(self, pool_id: str) -> int:
        """Return how many agents a pool is to have."""
        if pool_id in self._agents:
            return self._agents[pool_id]
        state = self._tables.states.get(pool_id)
        return state.decided if state is not None else 0

    def used(self, budget_id: str, *, besides: str = "") -> Used:
        """Return what the pools under a budget have, all but one."""
        pool_ids = [each for each in self._tables.by_budget.of(budget_id) if each != besides]
        agents = [self.agents(pool_id) for pool_id in pool_ids]
        cost = sum([count * self._cost(pool_id) for count, pool_id in zip(agents, pool_ids, strict=True)])
        return Used(sum(agents), cost, tuple(pool_ids))

    def affordable(self, row: PoolRow, present: int) -> int | None:
        """Return how many agents its budget allows a pool, never fewer than it has; None for any number."""
        budget = self._tables.budgets.get(row.budget_id) if row.budget_id else None
        if budget is None:
            return None
        bounds = list(_bounds(budget, self.used(row.budget_id, besides=row.pool_id), row.pool.agent_cost))
        return max(present, min(bounds)) if bounds else None

    def _cost(self, pool_id: str) -> int:
        return self._costs[pool_id] if pool_id in self._costs else self._tables.pools[pool_id].pool.agent_cost


def _bounds(budget: BudgetRow, others: Used, agent_cost: int) -> Iterator[int]:
    if budget.most:
        yield budget.most - others.agents
    if budget.cost_limit and agent_cost:
        yield (budget.cost_limit - others.cost) // agent_cost


def present(budget_id: str, tables: ScalingTables) -> BudgetRow:
    """Return a budget.

    Raises:
        Refusal: BUDGET_NOT_FOUND.
    """
    row = tables.budgets.get(budget_id)
    if row is None:
        raise Refusal("BUDGET_NOT_FOUND", f"there is no budget {budget_id!r}; apply it first")
    return row


def check_unused(budget_id: str, tables: ScalingTables) -> None:
    """Check that no pool names a budget.

    Raises:
        Refusal: BUDGET_NOT_FOUND, BUDGET_IN_USE.
    """
    present(budget_id, tables)
    if pools := tables.by_budget.of(budget_id):
        raise Refusal("BUDGET_IN_USE", f"the pools {', '.join(pools)} are under {budget_id!r}; take it from them first")
