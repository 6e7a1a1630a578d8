"""Records and rows come back as they were, and auditors are told what they name."""

from __future__ import annotations

import pytest

from tercio_common.epochs import Epoch
from tercio_common.leasing.tombstones import TombstoneRow
from tercio_resources.codec import ResourcesCodec, decode_event, encode_event
from tercio_resources.records.v1 import events_pb2
from tercio_resources.state import budget_events, events, worktree_events
from tercio_resources.state.budget_rows import BlockRow, BudgetRow, MeterRow, Settlement, Spending
from tercio_resources.state.commands import UsageReport
from tercio_resources.state.cost_rows import CostLimitRow, CostLimitSet, CostRow, PriceRow, PriceSet
from tercio_resources.state.reservation_rows import (
    EndCause,
    Phase,
    ReservationAdvanced,
    ReservationClaimed,
    ReservationMade,
    ReservationRow,
    ReservationsEnded,
    Window,
)
from tercio_resources.state.rows import (
    AllocationRow,
    Amount,
    Cause,
    HistoryRow,
    Lot,
    Part,
    PastAllocationRow,
    PastTask,
    PoolRecordRow,
    PoolRow,
    QuotaRow,
    Sample,
    SamplesRow,
    StrategyRow,
    UsageRow,
    Used,
)
from tercio_resources.state.tables import (
    ALLOCATIONS,
    BLOCKS,
    BUDGETS,
    COST_LIMITS,
    COSTS,
    HISTORIES,
    METERS,
    PAST_ALLOCATIONS,
    POOL_RECORDS,
    POOLS,
    PRICES,
    QUOTAS,
    RESERVATIONS,
    SAMPLES,
    STRATEGIES,
    TOMBSTONES,
    USAGES,
    WORKTREE_POOLS,
    WORKTREES,
)
from tercio_resources.state.worktree_rows import WorktreePoolRow, WorktreeRow, WorktreeState

PARTS = (Part("cpu", "cpu", 100), Part("memory", "memory", 5))
LOT = Lot("t", 3, 60_000, PARTS, emergency=True, task_type="build", rate=10**20)
POOL = PoolRow("cpu", "cpu", "millicores", 1_000, 100, (("zone", "a"),), fenced=True, created_wall=7)
WORKTREE_POOL = WorktreePoolRow("trees", "/repository/.git", "/trees", "main", 7)
WORKTREE = WorktreeRow("trees", 7, WorktreeState.HELD, 3, 1024, 2, "why", 99, made=True)
BUDGET = BudgetRow("b", "account", Spending(1, 2), 3_000, 4, 5, 6)
WINDOW = Window(10, 20, 15)
SETTLEMENT = Settlement("b", Spending(1, 2), Spending(3, 4), Spending(5, 6), Spending(7, 8), Spending(9, 10))
EVENTS = [
    (events.PoolsSet((POOL,)), "PoolsSet", ["pools/cpu"]),
    (events.PoolDeleted("cpu"), "PoolDeleted", ["pools/cpu"]),
    (events.QuotaSet(QuotaRow("t", (("cpu", 5),), borrowing=True)), "QuotaSet", []),
    (events.QuotaDeleted("t"), "QuotaDeleted", []),
    (
        events.AllocationsGranted((LOT, LOT._replace(priority=4)), ("a", "b"), (1, 0)),
        "AllocationsGranted",
        ["owners/a", "owners/b"],
    ),
    (
        events.AllocationsReleased(Cause.EXPIRED, (1024, 2048), ("a",), (("a", "ada"),)),
        "AllocationsReleased",
        ["allocations/1024", "allocations/2048"],
    ),
    (events.AllocationsTransferred((1024,), "b"), "AllocationsTransferred", ["allocations/1024"]),
    (events.RevocationsRequested((1024,), 99), "RevocationsRequested", ["allocations/1024"]),
    (events.TombstonesPruned(("a",)), "TombstonesPruned", []),
    (events.PastAllocationsForgotten((1024,)), "PastAllocationsForgotten", ["allocations/1024"]),
    (
        events.UsageReported((UsageReport(1024, (Amount("cpu", 5),), "compile", (("zone", "a"),)),)),
        "UsageReported",
        ["allocations/1024"],
    ),
    (events.UseSampled((("cpu", 0), ("memory", 5))), "UseSampled", ["pools/cpu", "pools/memory"]),
    (events.AllocationsReshaped((1024,), (LOT,)), "AllocationsReshaped", ["allocations/1024"]),
    (events.StrategySet(StrategyRow(1, "round_robin")), "StrategySet", []),
    (ReservationMade("r", LOT, WINDOW), "ReservationMade", ["owners/r"]),
    (ReservationAdvanced(7, Phase.ROOM_MADE), "ReservationAdvanced", ["reservations/7"]),
    (ReservationClaimed(7), "ReservationClaimed", ["reservations/7"]),
    (ReservationsEnded(EndCause.LAPSED, (7, 8)), "ReservationsEnded", ["reservations/7", "reservations/8"]),
    (PriceSet(PriceRow("cpu", 40)), "PriceSet", []),
    (CostLimitSet(CostLimitRow(1, "t", 5)), "CostLimitSet", []),
    (budget_events.BudgetSet(BUDGET), "BudgetSet", ["budgets/b"]),
    (budget_events.BudgetDeleted("b"), "BudgetDeleted", ["budgets/b"]),
    (budget_events.BlocksSettled("a", (SETTLEMENT,), 99), "BlocksSettled", ["budgets/b"]),
    (budget_events.BlocksLost((("b", "a"), ("c", "a"))), "BlocksLost", ["budgets/b", "budgets/c"]),
    (budget_events.AccountFrozen("b", 99), "AccountFrozen", ["budgets/b"]),
    (worktree_events.WorktreePoolsSet((WORKTREE_POOL,)), "WorktreePoolsSet", ["pools/trees"]),
    (worktree_events.WorktreePoolClosed("trees"), "WorktreePoolClosed", ["pools/trees"]),
    (worktree_events.WorktreesSet((WORKTREE,)), "WorktreesSet", ["worktrees/trees-7"]),
    (worktree_events.WorktreeRemoved("trees", 7), "WorktreeRemoved", ["worktrees/trees-7"]),
]
ROWS = [
    (WORKTREE_POOLS, WORKTREE_POOL),
    (WORKTREES, WORKTREE),
    (POOLS, POOL),
    (QUOTAS, QuotaRow("t", (("cpu", 5),), borrowing=True)),
    (ALLOCATIONS, AllocationRow(1024, "a", LOT, 2048, Epoch(1, 7), 10, 20, 30, 40, 10**30, "p")),
    (PAST_ALLOCATIONS, PastAllocationRow(1024, "a", LOT, "ada", Cause.REVOKED, 10, 20, 30, 10**30)),
    (TOMBSTONES, TombstoneRow("a", 5)),
    (USAGES, UsageRow(1024, "compile", (("zone", "a"),), (Used("cpu", 100, 5, 80),), 3, 10, 20, 30, 40)),
    (HISTORIES, HistoryRow("compile", (PastTask((("zone", "a"),), (("cpu", 80),)),), 250, 3, 50)),
    (SAMPLES, SamplesRow("cpu", (Sample(10, 0), Sample(20, 30)))),
    (RESERVATIONS, ReservationRow(7, "r", LOT, WINDOW, 4, Phase.CLAIMED, 5, 1024, "p")),
    (PRICES, PriceRow("cpu", 40)),
    (COSTS, CostRow(2, "a", 10**30, 5)),
    (COST_LIMITS, CostLimitRow(1, "t", 5)),
    (STRATEGIES, StrategyRow(1, "round_robin")),
    (POOL_RECORDS, PoolRecordRow("cpu", 1024, 5, 2, 250)),
    (BUDGETS, BUDGET),
    (METERS, MeterRow("b", Spending(-1, 2), 3, Spending(4, 5), Spending(6, 7), 10**30, 8)),
    (BLOCKS, BlockRow("b", "a", Spending(1, 2), 3, 4)),
]


@pytest.mark.parametrize(("event", "kind", "named"), EVENTS, ids=[kind for _, kind, _ in EVENTS])
def test_an_event_comes_back_as_it_was_and_is_described(event: events.Event, kind: str, named: list[str]) -> None:
    data = encode_event(event)
    assert decode_event(data) == event
    described = ResourcesCodec().describe_event(data)
    assert (described.kind, list(described.resources)) == (kind, named)


@pytest.mark.parametrize(("table", "row"), ROWS, ids=[table for table, _ in ROWS])
def test_a_row_comes_back_as_it_was(table: str, row: object) -> None:
    codec = ResourcesCodec()
    assert codec.decode_row(table, codec.encode_row(table, row)) == row


def test_what_no_version_wrote_is_refused() -> None:
    with pytest.raises(ValueError, match="newer version"):
        decode_event(events_pb2.Event().SerializeToString())
    with pytest.raises(ValueError, match="no table"):
        ResourcesCodec().decode_row("other", b"")
