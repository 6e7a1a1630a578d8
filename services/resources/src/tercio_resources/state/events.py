"""What happened. By whom, when and in which epoch stands in the record's header and enters `apply` as the moment."""

from __future__ import annotations

from dataclasses import dataclass

from tercio_resources.state.budget_events import BudgetEvent
from tercio_resources.state.commands import UsageReport
from tercio_resources.state.cost_rows import CostLimitSet, PriceSet
from tercio_resources.state.reservation_rows import ReservationEvent
from tercio_resources.state.rows import Cause, Lot, PoolRow, QuotaRow, StrategyRow
from tercio_resources.state.worktree_events import WorktreeEvent


@dataclass(frozen=True, slots=True)
class PoolsSet:
    """Pools were created or changed; a new one has no time of creation yet."""

    rows: tuple[PoolRow, ...]


@dataclass(frozen=True, slots=True)
class PoolDeleted:
    """A pool was deleted."""

    pool_id: str


@dataclass(frozen=True, slots=True)
class QuotaSet:
    """A tenant's quota was set."""

    row: QuotaRow


@dataclass(frozen=True, slots=True)
class QuotaDeleted:
    """A tenant's quota was removed."""

    tenant: str


@dataclass(frozen=True, slots=True)
class AllocationsGranted:
    """Allocations were granted, in columns; without `indexes` all are the first lot."""

    lots: tuple[Lot, ...]
    owners: tuple[str, ...]
    indexes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AllocationsReleased:
    """Allocations were released, and owners barred; `agents` are those that used what owners held, where known."""

    cause: Cause
    numbers: tuple[int, ...]
    barred: tuple[str, ...] = ()
    agents: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PastAllocationsForgotten:
    """Allocations are listed no longer that ended long ago."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AllocationsTransferred:
    """Allocations got another owner."""

    numbers: tuple[int, ...]
    to_owner: str


@dataclass(frozen=True, slots=True)
class RevocationsRequested:
    """The holders of allocations were asked to release them by that fleet time in ms."""

    numbers: tuple[int, ...]
    revoke_at: int


@dataclass(frozen=True, slots=True)
class TombstonesPruned:
    """Owners are no longer barred."""

    owners: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UsageReported:
    """Holders said what they use, each allocation at most once."""

    reports: tuple[UsageReport, ...]


@dataclass(frozen=True, slots=True)
class UseSampled:
    """It was noted how much is granted of each pool, in the order of their ids."""

    granted: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class AllocationsReshaped:
    """Allocations were shrunk, or moved to other pools; their holders and tokens stay."""

    numbers: tuple[int, ...]
    lots: tuple[Lot, ...]


@dataclass(frozen=True, slots=True)
class StrategySet:
    """Another strategy is in use."""

    row: StrategyRow


Event = (
    PoolsSet
    | PoolDeleted
    | QuotaSet
    | QuotaDeleted
    | AllocationsGranted
    | AllocationsReleased
    | PastAllocationsForgotten
    | AllocationsTransferred
    | RevocationsRequested
    | TombstonesPruned
    | UsageReported
    | AllocationsReshaped
    | UseSampled
    | StrategySet
    | ReservationEvent
    | PriceSet
    | CostLimitSet
    | BudgetEvent
    | WorktreeEvent
)
