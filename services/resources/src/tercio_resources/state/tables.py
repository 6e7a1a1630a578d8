"""Every table of the service, with its indexes."""

from __future__ import annotations

from operator import itemgetter

from tercio_common.leasing.tombstones import TombstoneRow, Tombstones
from tercio_common.machine.table import Table, TableStore
from tercio_resources.state.accruing import Accruing, Oldest
from tercio_resources.state.block_timers import BlockTimers
from tercio_resources.state.budget_rows import BlockRow, BudgetRow, MeterRow
from tercio_resources.state.cost_rows import CostLimitRow, CostRow, PriceRow
from tercio_resources.state.holdings import Holdings
from tercio_resources.state.leases import Leases
from tercio_resources.state.past_allocations import Past
from tercio_resources.state.pools import PoolsByDimension
from tercio_resources.state.reservation_rows import ReservationRow
from tercio_resources.state.reserved import Reserved
from tercio_resources.state.rows import (
    AllocationRow,
    HistoryRow,
    PastAllocationRow,
    PoolRecordRow,
    PoolRow,
    QuotaRow,
    SamplesRow,
    StrategyRow,
    UsageRow,
)
from tercio_resources.state.rules import Rules
from tercio_resources.state.usage import UsageSums
from tercio_resources.state.worktree_index import WorktreeIndex
from tercio_resources.state.worktree_rows import WorktreePoolRow, WorktreeRow

POOLS = "pools"
QUOTAS = "quotas"
ALLOCATIONS = "allocations"
PAST_ALLOCATIONS = "past_allocations"
TOMBSTONES = "tombstones"
USAGES = "usages"
HISTORIES = "histories"
SAMPLES = "samples"
STRATEGIES = "strategies"
POOL_RECORDS = "pool_records"
RESERVATIONS = "reservations"
PRICES = "prices"
COSTS = "costs"
COST_LIMITS = "cost_limits"
BUDGETS = "budgets"
METERS = "meters"
BLOCKS = "blocks"
WORKTREE_POOLS = "worktree_pools"
WORKTREES = "worktrees"


class ResourceTables(TableStore):
    """The tables. What is only counted, and tombstones, concern no reader of the feed."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.pools: Table[PoolRow] = Table(POOLS, itemgetter(0), store=self)
        self.quotas: Table[QuotaRow] = Table(QUOTAS, itemgetter(0), store=self)
        self.allocations: Table[AllocationRow] = Table(ALLOCATIONS, itemgetter(0), store=self)
        self.past_allocations: Table[PastAllocationRow] = Table(PAST_ALLOCATIONS, itemgetter(0), store=self, fed=False)
        self.tombstones: Table[TombstoneRow] = Table(TOMBSTONES, itemgetter(0), store=self, fed=False)
        self.usages: Table[UsageRow] = Table(USAGES, itemgetter(0), store=self, fed=False)
        self.histories: Table[HistoryRow] = Table(HISTORIES, itemgetter(0), store=self, fed=False)
        self.samples: Table[SamplesRow] = Table(SAMPLES, itemgetter(0), store=self, fed=False)
        self.strategies: Table[StrategyRow] = Table(STRATEGIES, itemgetter(0), store=self)
        self.pool_records: Table[PoolRecordRow] = Table(POOL_RECORDS, itemgetter(0), store=self, fed=False)
        self.reservations: Table[ReservationRow] = Table(RESERVATIONS, itemgetter(0), store=self)
        self.prices: Table[PriceRow] = Table(PRICES, itemgetter(0), store=self)
        self.costs: Table[CostRow] = Table(COSTS, itemgetter(0, 1), store=self, fed=False)
        self.cost_limits: Table[CostLimitRow] = Table(COST_LIMITS, itemgetter(0, 1), store=self)
        self.budgets: Table[BudgetRow] = Table(BUDGETS, itemgetter(0), store=self)
        self.meters: Table[MeterRow] = Table(METERS, itemgetter(0), store=self, fed=False)
        self.blocks: Table[BlockRow] = Table(BLOCKS, itemgetter(0, 1), store=self, fed=False)
        self.worktree_pools: Table[WorktreePoolRow] = Table(WORKTREE_POOLS, itemgetter(0), store=self)
        self.worktrees: Table[WorktreeRow] = Table(WORKTREES, itemgetter(0, 1), store=self)
        self.by_dimension = PoolsByDimension()
        self.holdings = Holdings()
        self.leases = Leases(rules)
        self.barred = Tombstones(period=rules.tombstone)
        self.past = Past(period=rules.history)
        self.used = UsageSums()
        self.block_timers = BlockTimers()
        self.reserved = Reserved(rules)
        self.worktree_index = WorktreeIndex()
        self.accruing = Accruing()
        self.charged_owners = Oldest(owners=True)
        self.charged_others = Oldest(owners=False)
        self.pools.add_index(self.by_dimension)
        self.allocations.add_index(self.holdings)
        self.allocations.add_index(self.leases)
        self.tombstones.add_index(self.barred)
        self.past_allocations.add_index(self.past)
        self.usages.add_index(self.used)
        self.allocations.add_index(self.accruing)
        self.costs.add_index(self.charged_owners)
        self.costs.add_index(self.charged_others)
        self.reservations.add_index(self.reserved)
        self.blocks.add_index(self.block_timers)
        self.worktrees.add_index(self.worktree_index)

    @property
    def freed(self) -> int:
        """Rises whenever who waits may be served: something was given back, a pool changed, or a worktree is ready."""
        changes = self.by_dimension.changes + self.worktree_index.readied
        return self.holdings.returned + self.reserved.returned + changes
