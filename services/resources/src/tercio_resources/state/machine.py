"""The machine of the resources service: passes each command and event to the noun that knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tercio_common.errors import Refusal
from tercio_common.leasing.tombstones import TombstoneRow, Tombstones
from tercio_common.machine.protocol import NOTHING, Decision, ElectionWon, Moment, Tick
from tercio_resources.state import (
    allocations,
    authority,
    budgets,
    costs,
    forecast,
    grants,
    leases,
    optimisation,
    past_allocations,
    pool_records,
    pools,
    prediction,
    quotas,
    reservations,
    resizing,
    strategies,
    usage,
    worktrees,
)
from tercio_resources.state.block_timers import BlockTimers
from tercio_resources.state.budget_commands import (
    CreateBudget,
    DeleteBudget,
    LeaseBlocks,
    ReportThrottled,
    ReturnBlocks,
    UpdateBudget,
)
from tercio_resources.state.commands import (
    Allocate,
    CreatePool,
    DeletePool,
    DeleteQuota,
    Optimize,
    Release,
    ReportUsage,
    Resize,
    SampleUse,
    SetQuota,
    SetStrategy,
    Transfer,
    UpdatePool,
)
from tercio_resources.state.cost_rows import CostLimitSet, PriceSet, SetCostLimit, SetPrice
from tercio_resources.state.events import (
    AllocationsGranted,
    AllocationsReleased,
    AllocationsReshaped,
    AllocationsTransferred,
    Event,
    PastAllocationsForgotten,
    PoolDeleted,
    PoolsSet,
    QuotaDeleted,
    QuotaSet,
    RevocationsRequested,
    StrategySet,
    TombstonesPruned,
    UsageReported,
    UseSampled,
)
from tercio_resources.state.leases import Leases
from tercio_resources.state.past_allocations import Past
from tercio_resources.state.pools import PoolView
from tercio_resources.state.reservation_rows import (
    CancelReservation,
    ClaimReservation,
    ReservationAdvanced,
    ReservationClaimed,
    ReservationMade,
    ReservationsEnded,
    Reserve,
)
from tercio_resources.state.reserved import Reserved
from tercio_resources.state.rows import Lot, PoolRow
from tercio_resources.state.rules import Rules
from tercio_resources.state.session import Session
from tercio_resources.state.tables import ResourceTables
from tercio_resources.state.worktree_commands import (
    CleanWorktree,
    CreateWorktreePool,
    DoubtWorktree,
    RemoveWorktree,
    SettleWorktree,
    TendWorktrees,
)
from tercio_resources.state.worktree_events import WorktreePoolClosed, WorktreePoolsSet, WorktreeRemoved, WorktreesSet

_ROW_BYTES = 300
"""About what a row takes in a snapshot."""
_HISTORY_BYTES = 8_192
"""About what the past tasks of one type take."""


class ResourcesMachine:
    """Pure state."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.tables = ResourceTables(rules)
        self._served: Leases | Tombstones | Past | BlockTimers | Reserved = self.tables.leases

    def decide(self, command: Any, at: Moment, session: Session) -> Decision:
        """See `StateMachine`."""
        authority.check(command, at.principal, self.rules)
        return worktrees.followed(self._decide(command, at, session), at, self.tables)

    def _decide(self, command: Any, at: Moment, session: Session) -> Decision:
        match command:
            case Allocate():
                self._check_space(len(command.owners))
                return grants.allocate(command, at, tables=self.tables, session=session, rules=self.rules)
            case Release():
                return allocations.release(command, at, self.tables, self.rules)
            case Reserve() | ClaimReservation() | CancelReservation():
                self._check_space(1 if isinstance(command, Reserve) else 0)
                return reservations.decide(command, at, tables=self.tables, session=session, rules=self.rules)
            case Resize():
                return resizing.resize(command, at, tables=self.tables, session=session, rules=self.rules)
            case Transfer():
                handed = allocations.transfer(command, at, self.tables, self.rules)
                rows = allocations.transferred(handed, self.tables.allocations, at)
                return Decision([handed], rows)
            case ReportUsage():
                self._check_space(len(command.reports))
                return usage.report(command, self.tables.allocations, self.tables.holdings, self.tables.by_dimension)
            case SampleUse():
                noted = forecast.sampled(self.tables.pools, self.tables.holdings.granted)
                return Decision([noted] if noted.granted else (), creates_work=True)
            case Optimize():
                return optimisation.optimize(command, at, self.tables, self.rules)
            case CreateBudget() | UpdateBudget() | DeleteBudget() | LeaseBlocks() | ReturnBlocks() | ReportThrottled():
                if isinstance(command, CreateBudget | LeaseBlocks):
                    self._check_space(1)
                return budgets.decide(command, at, self.tables, session)
            case SettleWorktree() | TendWorktrees() | DoubtWorktree():
                return worktrees.decide(command, at, self.tables)
            case Tick(limit=limit):
                return Decision(self._expire(at, session, limit=limit))
            case ElectionWon():
                # The first record of a journal: what an operator deletes later does not come back.
                return Decision(self._first_events()) if at.seq == 1 else NOTHING
            case _:
                return self._decide_for_operator(command, at)

    def apply(self, event: Event, at: Moment) -> None:
        """See `StateMachine`."""
        tables = self.tables
        match event:
            case AllocationsGranted():
                for granted in grants.rows_of(event, at):
                    tables.allocations.put(granted)
                pool_records.note_grants(event, at.seq, tables.pool_records)
            case AllocationsReleased():
                self._release(event, at)
            case AllocationsTransferred():
                for number in event.numbers:
                    costs.charge(tables.allocations[number], at, tables)
                for handed in allocations.transferred(event, tables.allocations, at):
                    tables.allocations.put(handed)
            case RevocationsRequested():
                for number in event.numbers:
                    tables.allocations.put(tables.allocations[number]._replace(revoke_at=event.revoke_at))
            case UsageReported():
                for each in event.reports:
                    held, before = tables.allocations[each.number], tables.usages.get(each.number)
                    tables.usages.put(usage.reported(each, held, before, at))
            case UseSampled():
                for pool_id, amount in event.granted:
                    tables.samples.put(forecast.with_sample(tables.samples.get(pool_id), pool_id, amount, at))
            case AllocationsReshaped():
                for number, lot in zip(event.numbers, event.lots, strict=True):
                    self._reshape(number, lot, at)
            case PastAllocationsForgotten():
                past_allocations.forget(event.numbers, tables.past_allocations)
            case TombstonesPruned():
                for owner in event.owners:
                    tables.tombstones.delete(owner)
            case PoolsSet():
                for row in event.rows:
                    tables.pools.put(row if row.created_wall else row._replace(created_wall=at.wall))
            case PoolDeleted():
                tables.pools.delete(event.pool_id)
                for of_pools in (tables.samples, tables.pool_records):
                    if event.pool_id in of_pools:
                        of_pools.delete(event.pool_id)
            case QuotaSet():
                tables.quotas.put(event.row)
            case QuotaDeleted():
                tables.quotas.delete(event.tenant)
            case StrategySet():
                tables.strategies.put(event.row)
            case PriceSet() | CostLimitSet():
                costs.apply(event, tables)
            case ReservationMade() | ReservationAdvanced() | ReservationClaimed() | ReservationsEnded():
                reservations.apply(event, at, tables, self.rules)
            case WorktreesSet() | WorktreeRemoved() | WorktreePoolsSet() | WorktreePoolClosed():
                worktrees.apply(event, tables)
            case _:
                budgets.apply(event, at, tables)

    def next_due(self) -> int | None:
        """See `StateMachine`."""
        tables = self.tables
        timers = (tables.leases, tables.barred, tables.past, tables.block_timers, tables.reserved)
        dues = (each.next_due() for each in timers)
        return min((due for due in dues if due is not None), default=None)

    def set_aside_due(self) -> str:
        """See `StateMachine`."""
        return self._served.set_aside()

    def pool_view(self, row: PoolRow) -> PoolView:
        """Show a pool."""
        granted, ready = self.tables.holdings.granted, self.tables.worktree_index.ready(row.pool_id)
        return PoolView(row, granted.get(row.pool_id, 0), len(ready))

    def _first_events(self) -> list[Event]:
        keeping = self.rules.worktree_pools
        return [PoolsSet(self.rules.default_pools), *([WorktreePoolsSet(keeping)] if keeping else ())]

    def _release(self, event: AllocationsReleased, at: Moment) -> None:
        tables = self.tables
        agents = dict(event.agents)
        held = [tables.allocations.delete(number) for number in event.numbers]
        rows = [costs.charge(row, at, tables) if row.lot.rate else row for row in held]
        for row in rows if agents else ():
            costs.charge_agent(agents.get(row.owner, ""), row.charged, at, tables)
        pool_records.note_ends(rows, event.cause, tables.pool_records)
        past_allocations.note(rows, event.cause, agents, at, kept=tables.past_allocations, past=tables.past)
        for number in event.numbers:
            if (reservation := tables.reserved.claims.get(number)) is not None:
                tables.reservations.delete(reservation)
            if number in tables.usages:
                self._end_usage(number, at)
        for owner in event.barred:
            tables.tombstones.put(TombstoneRow(owner, at.now))

    def _end_usage(self, number: int, at: Moment) -> None:
        """Forget what was used of an allocation, and learn from it."""
        row, histories = self.tables.usages.delete(number), self.tables.histories
        if not (row.task_type and row.used):
            return
        if row.task_type not in histories and (oldest := prediction.forgotten(histories)) is not None:
            histories.delete(oldest)
        histories.put(prediction.learned(row, histories, at))

    def _reshape(self, number: int, lot: Lot, at: Moment) -> None:
        tables = self.tables
        charged = costs.charge(tables.allocations[number], at, tables)
        tables.allocations.put(charged._replace(lot=lot))
        if (row := tables.usages.get(number)) is not None:
            tables.usages.put(usage.reshaped(row, {part.dimension: part.amount for part in lot.parts}))

    def _decide_for_operator(self, command: Any, at: Moment) -> Decision:
        tables = self.tables
        match command:
            case CreatePool():
                self._check_space(1)
                row = pools.created(command, tables.pools, tables.worktree_pools, tables.by_dimension)
                row = row._replace(created_wall=at.wall)
                return Decision([PoolsSet((row,))], self.pool_view(row), creates_work=True)
            case UpdatePool():
                row = pools.updated(command, tables.pools)
                unchanged = row == tables.pools[row.pool_id]
                return Decision(() if unchanged else [PoolsSet((row,))], self.pool_view(row))
            case DeletePool(pool_id=pool_id):
                reserved = tables.reserved.peak(pool_id, 0, 2**63)
                granted = tables.holdings.granted.get(pool_id, 0)
                pools.check_deletable(pool_id, tables.pools, granted=granted, reserved=reserved)
                return Decision([PoolDeleted(pool_id)])
            case CreateWorktreePool() | CleanWorktree() | RemoveWorktree():
                if isinstance(command, CreateWorktreePool):
                    self._check_space(command.pool.capacity)
                return worktrees.decide(command, at, tables)
            case SetQuota():
                return Decision([QuotaSet(quotas.checked(command, tables.by_dimension))], command.row)
            case DeleteQuota(tenant=tenant):
                return Decision([QuotaDeleted(quotas.present(tenant, tables.quotas).tenant)])
            case SetStrategy():
                row_of_strategy = strategies.checked(command.row, self.rules)
                unchanged = tables.strategies.get(row_of_strategy.subject) == row_of_strategy
                return Decision(() if unchanged else [StrategySet(row_of_strategy)])
            case SetPrice() | SetCostLimit():
                self._check_space(1)
                return costs.decide(command, tables)
            case _:
                raise TypeError(f"the resources service knows no command {type(command).__name__}")

    def _expire(self, at: Moment, session: Session, *, limit: int) -> Sequence[Event]:
        """Decide what is due of one kind: should it fail, that is the kind of what is at fault."""
        self._served = self.tables.leases
        ended = leases.expire(self.tables.allocations, self.tables.leases, at, session=session, limit=limit)
        if ended:
            return ended
        self._served = self.tables.barred
        if owners := self.tables.barred.prunable(at, limit=limit):
            return [TombstonesPruned(owners)]
        self._served = self.tables.past
        if numbers := self.tables.past.prunable(at, limit=limit):
            return [PastAllocationsForgotten(numbers)]
        self._served = self.tables.reserved
        if advanced := reservations.advance(at, self.tables, self.rules):
            return advanced
        self._served = self.tables.block_timers
        return budgets.lose(self.tables.block_timers, at, limit=limit)

    @property
    def live_bytes(self) -> int:
        """About what all rows take in a snapshot."""
        rows = sum(map(len, self.tables.tables.values()))
        return _ROW_BYTES * rows + _HISTORY_BYTES * len(self.tables.histories)

    def _check_space(self, more: int) -> None:
        if self.live_bytes + _ROW_BYTES * more > self.rules.max_live_bytes:
            message = f"the service holds as much as {self.rules.max_live_bytes} bytes allow; release something first"
            raise Refusal("QUEUE_FULL", message, retry_after_ms=5_000)
