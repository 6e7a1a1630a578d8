"""The composition root of the resources service."""

from __future__ import annotations

from dataclasses import replace

import grpc

from tercio.api.resources.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from tercio.api.resources.v1.budget_service_pb2_grpc import add_BudgetServiceServicer_to_server
from tercio.api.resources.v1.cost_service_pb2_grpc import add_CostServiceServicer_to_server
from tercio.api.resources.v1.reservation_service_pb2_grpc import add_ReservationServiceServicer_to_server
from tercio.api.resources.v1.resource_service_pb2_grpc import add_ResourceServiceServicer_to_server
from tercio.api.resources.v1.strategy_service_pb2_grpc import add_StrategyServiceServicer_to_server
from tercio.api.resources.v1.usage_service_pb2_grpc import add_UsageServiceServicer_to_server
from tercio.api.resources.v1.worktree_service_pb2_grpc import add_WorktreeServiceServicer_to_server
from tercio_common.composition import Ports, Service
from tercio_common.machine.host import Host
from tercio_common.rpc.authorisation import Rule
from tercio_resources.api.allocating import Allocating
from tercio_resources.api.audit import AuditServicer
from tercio_resources.api.budgets import BudgetServicer
from tercio_resources.api.costs import CostServicer
from tercio_resources.api.reservations import ReservationServicer
from tercio_resources.api.resources import ResourceServicer
from tercio_resources.api.strategies import StrategyServicer
from tercio_resources.api.usage import UsageServicer
from tercio_resources.api.watching import Watching
from tercio_resources.api.worktrees import WorktreeServicer
from tercio_resources.codec import ResourcesCodec
from tercio_resources.effects.git import Git
from tercio_resources.effects.listen import listen
from tercio_resources.effects.prepare_worktrees import WorktreeKeeper
from tercio_resources.effects.sample_use import sample_use
from tercio_resources.settings import ResourcesSettings
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.session import Session

NAME = "resources"
FULL_NAME = "tercio.api.resources.v1.ResourceService"
USAGE = "tercio.api.resources.v1.UsageService"
BUDGETS = "tercio.api.resources.v1.BudgetService"
COSTS = "tercio.api.resources.v1.CostService"
RESERVATIONS = "tercio.api.resources.v1.ReservationService"
STRATEGIES = "tercio.api.resources.v1.StrategyService"
WORKTREES = "tercio.api.resources.v1.WorktreeService"
AUDIT = "tercio.api.resources.v1.AuditService"
RULES = {
    f"/{FULL_NAME}/{method}": Rule.ANY_PRINCIPAL
    for method in (
        "CreatePool",
        "UpdatePool",
        "DeletePool",
        "GetPool",
        "ListPools",
        "WatchPools",
        "CheckAllocation",
        "Allocate",
        "Renew",
        "Release",
        "Transfer",
        "Resize",
        "GetAllocation",
        "ListAllocations",
        "ListAllocationHistory",
        "WatchAllocations",
        "SetQuota",
        "DeleteQuota",
        "GetQuota",
        "ListQuotas",
    )
}
RULES |= {
    f"/{USAGE}/{method}": Rule.ANY_PRINCIPAL
    for method in ("ReportUsage", "ListUsages", "GetEfficiency", "GetPrediction", "ListForecasts", "Optimize")
}
RULES |= {
    f"/{BUDGETS}/{method}": Rule.ANY_PRINCIPAL
    for method in (
        "CreateBudget",
        "UpdateBudget",
        "DeleteBudget",
        "GetBudget",
        "ListBudgets",
        "WatchBudgets",
        "LeaseBlocks",
        "ReturnBlocks",
        "ReportThrottled",
    )
}
RULES |= {f"/{COSTS}/{method}": Rule.ANY_PRINCIPAL for method in ("SetPrice", "ListPrices", "SetCostLimit", "GetCosts")}
RULES |= {
    f"/{RESERVATIONS}/{method}": Rule.ANY_PRINCIPAL
    for method in ("Reserve", "ClaimReservation", "CancelReservation", "ListReservations", "WatchReservations")
}
RULES |= {f"/{STRATEGIES}/{method}": Rule.ANY_PRINCIPAL for method in ("SetStrategy", "ListStrategies")}
RULES |= {
    f"/{WORKTREES}/{method}": Rule.ANY_PRINCIPAL
    for method in (
        "CreateWorktreePool",
        "ListWorktreePools",
        "ListWorktrees",
        "GetHeldWorktrees",
        "CleanWorktree",
        "RemoveWorktree",
    )
}
RULES[f"/{AUDIT}/ListAuditEvents"] = Rule.ANY_PRINCIPAL


def build(ports: Ports) -> Service:
    """Compose one replica of the resources service; nothing runs yet."""
    settings = ports.settings or ResourcesSettings()
    # A grant may be on its way for as long as its request id is kept: so long is its owner barred.
    rules = replace(settings.rules(), tombstone=ports.host_settings.request_window_ms)
    allocating = Allocating()
    keeper = WorktreeKeeper(timeout_ms=settings.git_timeout_ms)
    host = Host(
        name=NAME,
        machine=lambda: ResourcesMachine(replace(rules, max_live_bytes=host.budget.live_bytes)),
        session=lambda _epoch: Session(rules),
        codec=ResourcesCodec(),
        journal=ports.journal,
        election=ports.election,
        clock=ports.clock,
        settings=ports.host_settings,
        address=ports.address,
        effects=(listen(allocating), sample_use(every_ms=settings.sample_ms), keeper.run),
    )
    host.on_commit(allocating.serve_waiting)
    host.on_commit(keeper.committed)
    servicer = ResourceServicer(host, allocating=allocating, watching=Watching(host))

    def add_to_server(server: grpc.aio.Server) -> None:
        add_ResourceServiceServicer_to_server(servicer, server)
        add_UsageServiceServicer_to_server(UsageServicer(host), server)
        add_BudgetServiceServicer_to_server(BudgetServicer(host), server)
        add_CostServiceServicer_to_server(CostServicer(host), server)
        add_ReservationServiceServicer_to_server(ReservationServicer(host), server)
        add_StrategyServiceServicer_to_server(StrategyServicer(host), server)
        add_WorktreeServiceServicer_to_server(WorktreeServicer(host, Git(timeout_ms=settings.git_timeout_ms)), server)
        add_AuditServiceServicer_to_server(AuditServicer(host), server)

    return Service(
        name=NAME,
        host=host,
        add_to_server=add_to_server,
        full_names=(FULL_NAME, USAGE, BUDGETS, COSTS, RESERVATIONS, STRATEGIES, WORKTREES, AUDIT),
        rules=RULES,
    )
