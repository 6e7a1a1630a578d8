"""Budgets: contract to domain and back."""

from __future__ import annotations

from tercio.api.scaling.v1 import agent_pool_pb2
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio_common.rpc.fields import page_size_of
from tercio_common.rpc.violations import Violations
from tercio_scaling.state.budgets import Ledger
from tercio_scaling.state.commands import SetBudget
from tercio_scaling.state.rows import BudgetRow
from tercio_scaling.state.tables import ScalingTables
from tercio_scaling.translate.fields import MOST_AGENTS, MOST_MONEY


def set_command(request: pb.ApplyBudgetRequest) -> SetBudget:
    """Translate a budget. Raises INVALID_ARGUMENT, as all below do."""
    found, budget = Violations(), request.budget
    found.check_id("budget.budget_id", budget.budget_id)
    found.check_range("budget.max_agents", budget.max_agents, least=0, most=1_000 * MOST_AGENTS)
    limit = budget.cost_limit_micros_per_hour
    found.check_range("budget.cost_limit_micros_per_hour", limit, least=0, most=MOST_MONEY)
    found.raise_if_any()
    return SetBudget(BudgetRow(budget.budget_id, budget.max_agents, limit))


def budget_id_of(request: pb.DeleteBudgetRequest) -> str:
    """Return which budget is meant."""
    found = Violations()
    found.check_id("budget_id", request.budget_id)
    found.raise_if_any()
    return request.budget_id


def page_size(request: pb.ListBudgetsRequest) -> int:
    """Return the size of a page."""
    found = Violations()
    size = page_size_of(request.page_size, found)
    found.raise_if_any()
    return size


def budget_message(row: BudgetRow, tables: ScalingTables) -> agent_pool_pb2.Budget:
    """Return a budget as the contract has it."""
    used = Ledger(tables).used(row.budget_id)
    return agent_pool_pb2.Budget(
        budget_id=row.budget_id,
        max_agents=row.most,
        cost_limit_micros_per_hour=row.cost_limit,
        agent_count=used.agents,
        cost_micros_per_hour=used.cost,
        pool_ids=used.pool_ids,
    )
