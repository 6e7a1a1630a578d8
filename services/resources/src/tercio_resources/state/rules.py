"""The times and bounds by which is granted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tercio_common.strategies import choosing, sharing
from tercio_common.strategies.catalogue import Catalogue
from tercio_common.strategies.protocol import Choosing, Sharing
from tercio_resources.state.commands import Kind
from tercio_resources.state.rows import PoolRow
from tercio_resources.state.worktree_rows import WorktreePoolRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Times in ms of fleet time, and bounds.

    Attributes:
        grace: from the end of a lease, or a request to give back, to the release.
        tombstone: how long an owner that was released is barred.
        history: how long an allocation that ended is listed.
        ageing: waiting for this long raises a priority by one.
        patience: who has waited for this long is passed by nobody.
        max_waiting: calls that may wait at once.
        owner_limits: the most of a dimension that one owner may hold.
        emergency_principals: who may open the reserve.
        operators: who may change pools, quotas, budgets and strategies, and take back what is not used.
        choosing: strategies by which a pool is chosen.
        sharing: strategies by which it is decided who is served first.
        default_choosing: the one in use until another was set.
        default_sharing: the one in use until another was set.
        default_pools: made with the first record.
        worktree_pools: which of them keep worktrees, and where.
        max_live_bytes: about how much all rows may take.
        idle: who used next to nothing for this long may be asked to release.
        headroom: what a shrink leaves beyond the most that was used, in thousandths of it.
        relief: what is tried before an allocation is refused.
        reservation_lead: so long before it begins, what is reserved is granted to nobody else.
        reservation_claim: so long after its start a reservation is to be claimed.
        default_estimate: what a task is expected to use of each dimension while nothing is known.
        efficiency_target: part of what is granted that is to be used, in thousandths.
    """

    grace: int = 5_000
    tombstone: int = 300_000
    history: int = 3_600_000
    ageing: int = 10_000
    patience: int = 10_000
    max_waiting: int = 1_000
    owner_limits: Mapping[str, int] = field(default_factory=dict)
    emergency_principals: frozenset[str] = frozenset({"local", "replica"})
    operators: frozenset[str] = frozenset({"local", "replica"})
    choosing: Catalogue[Choosing] = field(default_factory=lambda: Catalogue("choosing", choosing.BUILT_IN))
    sharing: Catalogue[Sharing] = field(default_factory=lambda: Catalogue("sharing", sharing.BUILT_IN))
    default_choosing: str = "best_fit"
    default_sharing: str = "priority"
    default_pools: tuple[PoolRow, ...] = ()
    worktree_pools: tuple[WorktreePoolRow, ...] = ()
    max_live_bytes: int = 64 << 20
    idle: int = 60_000
    headroom: int = 50
    relief: tuple[Kind, ...] = ()
    reservation_lead: int = 300_000
    reservation_claim: int = 60_000
    default_estimate: Mapping[str, int] = field(default_factory=dict)
    efficiency_target: int = 850
