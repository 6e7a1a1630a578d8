"""Grants: what is free is given to who asks for it, never more than there is.

A command's items are decided one after the other: each sees what the ones before it took. An item comes from one pool
for each of its dimensions, and gets everything or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Decision, Moment
from tercio_common.strategies.protocol import Candidate, Wish
from tercio_resources.state import costs, pool_records, revocation, strategies
from tercio_resources.state.commands import Allocate
from tercio_resources.state.events import AllocationsGranted, Event
from tercio_resources.state.pools import PoolsByDimension, checked_unit
from tercio_resources.state.quotas import limit_of
from tercio_resources.state.reservation_rows import ReservationRow
from tercio_resources.state.rows import (
    NUMBERS_A_RECORD,
    AllocationRow,
    Amount,
    Bound,
    Gap,
    Lot,
    Part,
    PoolRow,
    Shortage,
    Spec,
)
from tercio_resources.state.rules import Rules
from tercio_resources.state.session import Session
from tercio_resources.state.strategies import Subject
from tercio_resources.state.tables import ResourceTables


class Granted(NamedTuple):
    """What became of a batch.

    Attributes:
        numbers: of each item, 0 when it was refused.
        shortages: by item.
        at: when it was decided.
        strategy: by which pools were chosen.
        rate: what was granted costs an hour, in millionths of the currency.
    """

    numbers: Sequence[int]
    shortages: dict[int, Shortage]
    at: Moment
    strategy: str = ""
    rate: int = 0


def allocate(command: Allocate, at: Moment, *, tables: ResourceTables, session: Session, rules: Rules) -> Decision:
    """Decide a batch; the reply is `Granted`.

    Raises:
        Refusal: UNIT_MISMATCH, PERMISSION_DENIED.
    """
    check_emergency(at.principal, rules, emergency=command.emergency)
    for spec in command.specs:
        check_units(spec, tables.by_dimension)
    ledger = Ledger(tables, session, rules, at, emergency=command.emergency)
    placed: list[tuple[int, Lot]] = []
    shortages: dict[int, Shortage] = {}
    for item, owner in enumerate(command.owners):
        outcome = ledger.take(owner, command.specs[command.indexes[item]] if command.indexes else command.specs[0])
        if isinstance(outcome, Lot):
            placed.append((item, outcome))
        else:
            shortages[item] = outcome
    if shortages and command.atomic:
        placed = []
    events: list[Event] = []
    numbers = [0] * len(command.owners)
    if placed:
        events.append(_granted(command.owners, placed))
        for offset, (item, _) in enumerate(placed):
            numbers[item] = at.seq * NUMBERS_A_RECORD + offset
    if shortages and command.makes_room and (command.emergency or command.waits):
        shortages, revoked = revocation.make_room(shortages, command, at, tables=tables, rules=rules)
        events += revoked
    strategy = strategies.in_use(Subject.CHOOSING, tables.strategies, rules)
    rate = sum(lot.rate for _, lot in placed)
    return Decision(events, Granted(numbers, shortages, at, strategy, rate), creates_work=bool(placed))


def check_emergency(principal: str, rules: Rules, *, emergency: bool) -> None:
    """Raise PERMISSION_DENIED when somebody declares an emergency who may not."""
    if emergency and principal not in rules.emergency_principals:
        raise Refusal("PERMISSION_DENIED", f"{principal!r} may not declare an emergency; the settings name who may")


def check_units(spec: Spec, units: PoolsByDimension) -> None:
    """Raise UNIT_MISMATCH unless every amount is in its dimension's unit."""
    for amount in spec.amounts:
        checked_unit(amount.dimension, amount.unit, units)


def granting(dimension: str, labels: tuple[tuple[str, str], ...], tables: ResourceTables) -> list[PoolRow]:
    """Return the pools that may grant a dimension to who asks for these labels."""
    wanted, keeping = set(labels), tables.worktree_pools
    # While any pool has worktrees, one that is a mere number grants none: each grant names paths.
    named = any(pool.pool_id in keeping for pool in tables.by_dimension.of(dimension))
    return [
        pool
        for pool in tables.by_dimension.of(dimension)
        if wanted.issubset(pool.labels) and (not named or pool.pool_id in keeping)
    ]


def rows_of(event: AllocationsGranted, at: Moment) -> list[AllocationRow]:
    """Return the rows that a grant makes."""
    first, lots, indexes, epoch, now, wall, principal = (
        at.seq * NUMBERS_A_RECORD,
        event.lots,
        event.indexes,
        at.epoch,
        at.now,
        at.wall,
        at.principal,
    )
    return [
        AllocationRow(
            first + offset,
            owner,
            lots[indexes[offset]] if indexes else lots[0],
            first + offset,
            epoch,
            now,
            wall,
            0,
            now,
            0,
            principal,
        )
        for offset, owner in enumerate(event.owners)
    ]


class Ledger:
    """What is left while one command is decided: the tables, less what its items took so far."""

    def __init__(
        self, tables: ResourceTables, session: Session, rules: Rules, at: Moment, *, emergency: bool = False
    ) -> None:
        """Begin with nothing taken."""
        self._tables, self._session, self._rules, self._emergency = tables, session, rules, emergency
        self._wall, self._now = at.wall, at.now
        self._taken: dict[str, int] = {}
        self._by_tenant: dict[tuple[str, str], int] = {}
        self._by_owner: dict[tuple[str, str], int] = {}
        self._pools: dict[tuple[str, tuple[tuple[str, str], ...]], list[PoolRow]] = {}
        self._lots: dict[Lot, Lot] = {}
        self._choosing = strategies.choosing(tables.strategies, rules)
        self._turn = at.seq * NUMBERS_A_RECORD
        self._turns: dict[str, int] = {}

    def take(self, owner: str, spec: Spec) -> Lot | Shortage:
        """Take what an item asks for, or say why it cannot be had; an empty owner is nobody in particular."""
        if owner in self._tables.tombstones:
            return Shortage("OWNER_RELEASED")
        spent = costs.over_limit(spec.tenant, owner, spec.task_type, self._now, self._tables)
        if spent is not None and not self._emergency:
            return Shortage("COST_LIMIT_REACHED", (spent,))
        parts: list[Part] = []
        gaps: list[Gap] = []
        for amount in spec.amounts:
            if (limit := self._rules.owner_limits.get(amount.dimension)) is not None and amount.amount > limit:
                return Shortage("RESOURCE_LIMIT_EXCEEDED", (_gap(amount, limit, "owner"),))
            pools = self._pools_of(amount.dimension, spec.pool_labels)
            if not pools:
                return Shortage("POOL_NOT_FOUND", (_gap(amount, 0, "pool"),))
            free, pool_id = self._choose(pools, Wish(amount.amount, spec.priority))
            bound = self._bound(owner, spec.tenant, amount.dimension, Bound(free, "pool", max(map(self._most, pools))))
            if bound.available < amount.amount:
                gaps.append(Gap(amount.dimension, amount.amount, bound, pool_id))
            else:
                parts.append(Part(pool_id, amount.dimension, amount.amount))
        if gaps:
            return Shortage("INSUFFICIENT_RESOURCES", tuple(gaps))
        lot = Lot(spec.tenant, spec.priority, spec.ttl, tuple(parts), self._emergency, spec.task_type)
        if rate := costs.rate_of(parts, self._tables.prices):
            lot = lot._replace(rate=rate)
        self._note(owner, lot)
        return self._lots.setdefault(lot, lot)

    def gaps(self, row: AllocationRow, more: Iterable[Part]) -> tuple[Gap, ...]:
        """Return what is missing so that an allocation could grow by these."""
        found: list[Gap] = []
        for part in more:
            pool = self._tables.pools[part.pool_id]
            # What was reserved is kept to its amount, in which its window was planned.
            free = 0 if row.revoke_at or row.number in self._tables.reserved.claims else self._free(pool)
            bound = self._bound(row.owner, row.lot.tenant, part.dimension, Bound(free, "pool", self._most(pool)))
            if bound.available < part.amount:
                found.append(Gap(part.dimension, part.amount, bound, part.pool_id))
        return tuple(found)

    def gap_of_claim(self, row: ReservationRow, part: Part) -> Gap | None:
        """Return what is missing so that a part of a reservation could be granted; what others may claim is kept."""
        pool, reserved = self._tables.pools[part.pool_id], self._tables.reserved
        kept = reserved.started(pool.pool_id, self._wall) - part.amount
        used = self._tables.holdings.granted.get(pool.pool_id, 0)
        free = 0 if pool.fenced else max(0, pool.capacity - pool.reserve - used - kept)
        if pool.pool_id in self._tables.worktree_pools:
            free = min(free, len(self._tables.worktree_index.ready(pool.pool_id)))
        bound = self._bound(row.owner, row.lot.tenant, part.dimension, Bound(free, "pool", self._most(pool)))
        return Gap(part.dimension, part.amount, bound, part.pool_id) if bound.available < part.amount else None

    def _choose(self, pools: Sequence[PoolRow], wish: Wish) -> tuple[int, str]:
        """Return the room and the id of the pool that the strategy chooses; if it fits nowhere, of the roomiest one."""
        rooms = [(self._free(pool), pool.pool_id, pool) for pool in pools]
        fitting = [(room, pool) for room, _, pool in rooms if room >= wish.amount]
        if len(fitting) < 2:  # most fleets have one pool of a dimension
            return (fitting[0][0], fitting[0][1].pool_id) if fitting else max(rooms)[:2]
        found = strategies.chosen([self._candidate(pool, room) for room, pool in fitting], wish, self._choosing)
        return found.room, found.name

    def _candidate(self, pool: PoolRow, room: int) -> Candidate:
        record = pool_records.of(pool.pool_id, self._tables.pool_records)
        turn = self._turns.get(pool.pool_id, record.turn)
        size = pool.capacity - (0 if self._emergency else pool.reserve)
        return Candidate(pool.pool_id, room, size, turn, record.ended, record.failed, record.failing)

    def _pools_of(self, dimension: str, labels: tuple[tuple[str, str], ...]) -> list[PoolRow]:
        key = dimension, labels
        if key not in self._pools:
            self._pools[key] = granting(dimension, labels, self._tables)
        return self._pools[key]

    def _free(self, pool: PoolRow) -> int:
        """Return what a pool may still grant: nothing while it is fenced or over-committed."""
        if pool.fenced or (not self._emergency and pool.dimension in self._session.waiting.kept):
            return 0
        taken = self._taken.get(pool.pool_id, 0)
        used = self._tables.holdings.granted.get(pool.pool_id, 0) + taken
        free = pool.capacity - used
        if not self._emergency:
            free -= pool.reserve + self._tables.reserved.withheld(pool.pool_id, self._wall)
        if pool.pool_id in self._tables.worktree_pools:
            free = min(free, len(self._tables.worktree_index.ready(pool.pool_id)) - taken)
        return max(0, free)

    def _most(self, pool: PoolRow) -> int:
        """Return what a pool may grant as a whole, as it is set."""
        return 0 if pool.fenced else pool.capacity - (0 if self._emergency else pool.reserve)

    def _bound(self, owner: str, tenant: str, dimension: str, bound: Bound) -> Bound:
        """Return the tightest bound of an amount, given that of the pools."""
        if (limit := self._rules.owner_limits.get(dimension)) is not None:
            bound = _tighter(bound, limit - self._held(owner, dimension), "owner", limit)
        quota = self._tables.quotas.get(tenant)
        if quota is None or self._emergency:
            return bound
        most = limit_of(quota, dimension)
        if most is not None and not (quota.borrowing and not self._session.waiting.others(tenant)):
            key = tenant, dimension
            left = most - self._tables.holdings.by_tenant.get(key, 0) - self._by_tenant.get(key, 0)
            bound = _tighter(bound, left, "quota", most)
        return bound

    def _held(self, owner: str, dimension: str) -> int:
        held = self._by_owner.get((owner, dimension), 0)
        for number in self._tables.holdings.of(owner):
            lot = self._tables.allocations[number].lot
            held += sum(part.amount for part in lot.parts if part.dimension == dimension)
        return held

    def _note(self, owner: str, lot: Lot) -> None:
        self._turn += 1
        for pool_id, dimension, amount in lot.parts:
            self._turns[pool_id] = self._turn
            self._taken[pool_id] = self._taken.get(pool_id, 0) + amount
            tenant, by_owner = (lot.tenant, dimension), (owner, dimension)
            self._by_tenant[tenant] = self._by_tenant.get(tenant, 0) + amount
            self._by_owner[by_owner] = self._by_owner.get(by_owner, 0) + amount


def _tighter(bound: Bound, left: int, kind: str, most: int) -> Bound:
    """Return the bound by what is left now; what there could be at best is bounded by both."""
    if left < bound.available:
        return Bound(max(0, left), kind, min(bound.most, most))
    return bound._replace(most=min(bound.most, most))


def _gap(amount: Amount, available: int, kind: str) -> Gap:
    return Gap(amount.dimension, amount.amount, Bound(available, kind, available))


def _granted(owners: Sequence[str], placed: Sequence[tuple[int, Lot]]) -> AllocationsGranted:
    """Return the event, in which equal lots stand once."""
    indexes = {lot: index for index, lot in enumerate(dict.fromkeys(lot for _, lot in placed))}
    return AllocationsGranted(
        tuple(indexes),
        tuple(owners[item] for item, _ in placed),
        tuple(indexes[lot] for _, lot in placed) if len(indexes) > 1 else (),
    )
