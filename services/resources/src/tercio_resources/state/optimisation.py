"""Optimisation: what is granted and not used is taken back.

Three ways, each with its reason: who uses next to nothing is asked to release; who never used all of it keeps the most
that it used and a head-room, and may ask for more again; what is granted of one pool moves to others if then all of it
is free. Only what holders report is judged, and only while they report.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from tercio_common.machine.protocol import Decision, Moment
from tercio_resources.state import costs
from tercio_resources.state.commands import Kind, Optimize
from tercio_resources.state.events import AllocationsReshaped, Event, RevocationsRequested
from tercio_resources.state.rows import MOST_ITEMS, AllocationRow, Lot, Part, PoolRow, UsageRow
from tercio_resources.state.rules import Rules
from tercio_resources.state.tables import ResourceTables

_REPORTS: Final = 3
"""Of fewer the most that was used says little."""
_LEAST_PART: Final = 50
"""A shrink frees at least a fiftieth of what is granted: less is not worth telling a holder."""


class Proposal(NamedTuple):
    """What is taken back of one pool, and why."""

    kind: Kind
    number: int
    owner: str
    part: Part
    reason: str
    to_pool_id: str = ""


def optimize(command: Optimize, at: Moment, tables: ResourceTables, rules: Rules) -> Decision:
    """Decide to do all that is proposed; the reply is the proposals."""
    found = proposals(command, at, tables, rules)
    events: list[Event] = []
    idle = tuple(dict.fromkeys(each.number for each in found if each.kind is Kind.RECLAIM))
    if idle:
        events.append(RevocationsRequested(idle, at.now + rules.grace))
    lots = dict[int, Lot]()
    for each in found:
        if each.kind is not Kind.RECLAIM:
            lots[each.number] = _without(lots.get(each.number, tables.allocations[each.number].lot), each)
    if lots:
        priced = tuple(lot._replace(rate=costs.rate_of(lot.parts, tables.prices)) for lot in lots.values())
        events.append(AllocationsReshaped(tuple(lots), priced))
    return Decision(events, found)


def proposals(command: Optimize, at: Moment, tables: ResourceTables, rules: Rules) -> list[Proposal]:
    """Return what could be taken back, by kind and then by allocation; at most as much as one record may change."""
    plan = _Plan(tables, at)
    usages = sorted(tables.usages.values())
    for kind, judge in ((Kind.RECLAIM, _idle), (Kind.SHRINK, _over_allocated)):
        for usage in usages if kind in command.kinds else ():
            plan.add(judge(usage, tables.allocations[usage.number], at, rules))
    if Kind.COMPACT in command.kinds:
        for pool in sorted(
            tables.pools.values(), key=lambda pool: (tables.holdings.granted.get(pool.pool_id, 0), pool)
        ):
            plan.add(plan.emptied(pool))
    return plan.found


class _Plan:
    """What is proposed so far: each allocation is changed in one way only. Worktrees are neither shrunk nor moved."""

    def __init__(self, tables: ResourceTables, at: Moment) -> None:
        self._tables, self._wall = tables, at.wall
        self.found: list[Proposal] = []
        self._changed: set[int] = set()
        self._moved_in: dict[str, int] = {}

    def add(self, proposed: list[Proposal]) -> None:
        """Add all of these, or none."""
        numbers = {each.number for each in proposed}
        revoking = any(self._tables.allocations[number].revoke_at for number in numbers)
        named = any(
            each.kind is not Kind.RECLAIM and each.part.pool_id in self._tables.worktree_pools for each in proposed
        )
        promised = not numbers.isdisjoint(self._tables.reserved.claims)
        if revoking or named or promised or numbers & self._changed:
            return
        if len(self.found) + len(proposed) > MOST_ITEMS:
            return
        self.found += proposed
        self._changed |= numbers
        for each in proposed:
            if each.to_pool_id:
                self._moved_in[each.to_pool_id] = self._moved_in.get(each.to_pool_id, 0) + each.part.amount

    def emptied(self, pool: PoolRow) -> list[Proposal]:
        """Return how all that is granted of a pool moves to others that are in use; nothing unless all of it can."""
        if self._moved_in.get(pool.pool_id):
            return []
        rooms = {
            other.pool_id: self._room(other)
            for other in self._tables.by_dimension.of(pool.dimension)
            if other.pool_id != pool.pool_id and other.labels == pool.labels and self._takes(other)
        }
        moves: list[Proposal] = []
        for row, part in self._granted_of(pool):
            # Best fit, whatever the strategy for grants: what is moved is to leave large rooms whole.
            room, to_pool_id = min(
                ((room, name) for name, room in rooms.items() if room >= part.amount), default=(0, "")
            )
            if not to_pool_id or row.lot.emergency or row.number in self._changed:
                return []
            rooms[to_pool_id] = room - part.amount
            reason = f"all of {pool.pool_id} is free once it moves to {to_pool_id}"
            moves.append(Proposal(Kind.COMPACT, row.number, row.owner, part, reason, to_pool_id))
        return moves

    def _takes(self, pool: PoolRow) -> bool:
        """Tell whether something may move to a pool: it grants, is in use, and is not being emptied itself."""
        in_use = self._tables.holdings.granted.get(pool.pool_id, 0) > 0
        leaving = any(each.to_pool_id and each.part.pool_id == pool.pool_id for each in self.found)
        return in_use and not pool.fenced and not leaving and pool.pool_id not in self._tables.worktree_pools

    def _room(self, pool: PoolRow) -> int:
        used = self._tables.holdings.granted.get(pool.pool_id, 0) + self._moved_in.get(pool.pool_id, 0)
        return max(0, pool.capacity - pool.reserve - used - self._tables.reserved.withheld(pool.pool_id, self._wall))

    def _granted_of(self, pool: PoolRow) -> Iterator[tuple[AllocationRow, Part]]:
        """Give what is granted of a pool, the largest first: so more of it fits elsewhere."""
        found = [
            (row, part)
            for row in self._tables.allocations.values()
            for part in row.lot.parts
            if part.pool_id == pool.pool_id
        ]
        yield from sorted(found, key=lambda each: (-each[1].amount, each[0].number))


def _idle(usage: UsageRow, row: AllocationRow, at: Moment, rules: Rules) -> list[Proposal]:
    reports_all = len(usage.used) == len(row.lot.parts)
    quiet = at.now - usage.busy_now
    if quiet < rules.idle or not reports_all or not _reports_still(usage, at, rules):
        return []
    reason = f"next to nothing of it was used for {quiet // 1_000} s"
    return [Proposal(Kind.RECLAIM, row.number, row.owner, part, reason) for part in row.lot.parts]


def _over_allocated(usage: UsageRow, row: AllocationRow, at: Moment, rules: Rules) -> list[Proposal]:
    watched = at.now - usage.first_now
    if watched < rules.idle or usage.reports < _REPORTS or not _reports_still(usage, at, rules):
        return []
    found: list[Proposal] = []
    peaks = {each.dimension: each.peak for each in usage.used}
    for part in row.lot.parts:
        peak = peaks.get(part.dimension, part.amount)
        freed = part.amount - max(1, peak + -(-peak * rules.headroom // 1_000))
        if freed > 0 and freed * _LEAST_PART >= part.amount:
            reason = f"at most {peak} of {part.amount} was used in {watched // 1_000} s"
            found.append(Proposal(Kind.SHRINK, row.number, row.owner, part._replace(amount=freed), reason))
    return found


def _reports_still(usage: UsageRow, at: Moment, rules: Rules) -> bool:
    return at.now - usage.last_now <= rules.idle


def _without(lot: Lot, proposal: Proposal) -> Lot:
    """Return the lot after a shrink or a move."""
    parts = tuple(
        part
        if part.dimension != proposal.part.dimension
        else part._replace(pool_id=proposal.to_pool_id)
        if proposal.to_pool_id
        else part._replace(amount=part.amount - proposal.part.amount)
        for part in lot.parts
    )
    return lot._replace(parts=parts)
