"""The resources machine under random grants, releases, cuts, silences and take-overs.

The driver checks every step: nothing is granted over a pool's capacity or by a fenced pool, nothing is released twice,
tokens rise. Here the test keeps its own book of who holds what, and interrupts after each step: a replay and a snapshot
give the same tables.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from support.resources_machine import CPU, TTL, WALL, Driver, spec, tables
from tercio_common.errors import Refusal
from tercio_common.leasing.listening import SILENCE_MS
from tercio_common.strategies import choosing
from tercio_resources.state.commands import (
    Kind,
    Optimize,
    ReportUsage,
    Resize,
    SampleUse,
    SetQuota,
    SetStrategy,
    Transfer,
    UsageReport,
)
from tercio_resources.state.cost_rows import CostLimitRow, Payer, PriceRow, SetCostLimit, SetPrice
from tercio_resources.state.pools import PoolState
from tercio_resources.state.reservation_rows import CancelReservation, ClaimReservation, Reserve
from tercio_resources.state.rows import Amount, PoolRow, QuotaRow, StrategyRow
from tercio_resources.state.rules import Rules
from tercio_resources.state.strategies import Subject

OWNERS = st.sampled_from(["a", "b", "c", "d"])
POOLS = st.sampled_from(["cpu", "cpu-2", "memory"])
RULES = Rules(
    default_pools=(
        CPU._replace(reserve=200),
        PoolRow("cpu-2", "cpu", "millicores", 300),
        PoolRow("memory", "memory", "MB", 500),
    ),
    owner_limits={"cpu": 800},
    idle=2_000,
    reservation_lead=30_000,
    reservation_claim=30_000,
)


class Resources(RuleBasedStateMachine):
    """Operators and owners, and a leader that may be replaced after any step."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver(RULES)
        self.renewed: dict[str, int] = {}
        self.released: dict[str, int] = {}
        self.listening_since = 0
        self.cost = 0
        self.promised = set[int]()
        """Reservations that nothing unforeseen came in the way of: no cut, fence, emergency or stopped leader."""

    @rule(
        owners=st.lists(OWNERS, min_size=1, max_size=4),
        cpu=st.integers(1, 900),
        memory=st.integers(0, 300),
        priority=st.integers(0, 9),
        tenant=st.sampled_from(["", "t"]),
        atomic=st.booleans(),
        emergency=st.booleans(),
    )
    def allocate(
        self, owners: list[str], cpu: int, memory: int, priority: int, tenant: str, atomic: bool, emergency: bool
    ) -> None:
        amounts = {"cpu": cpu, **({"memory": memory} if memory else {})}
        over = {
            pool.pool_id: self.driver.machine.pool_view(pool).state is not PoolState.ACTIVE
            for pool in self.driver.machine.tables.pools.values()
        }
        granted = self.driver.allocate(
            *owners, specs=(spec(amounts, priority=priority, tenant=tenant),), atomic=atomic, emergency=emergency
        )
        if emergency:
            self.promised.clear()
        for item, number in enumerate(granted.numbers):
            assert bool(number) != (item in granted.shortages) or (atomic and granted.shortages)
            if not number:
                continue
            row = self.driver.machine.tables.allocations[number]
            assert row.owner == owners[item]
            assert not any(over[part.pool_id] for part in row.lot.parts), "a fenced or over-committed pool granted"
            assert owners[item] not in self.released

    @rule(owner=OWNERS)
    def release_owner(self, owner: str) -> None:
        held = len(self.driver.machine.tables.holdings.of(owner))
        assert self.driver.release(owners=(owner,)).released == held
        assert self.driver.release(owners=(owner,)).released == 0
        self.released.setdefault(owner, self.driver.now)

    @rule(index=st.integers(0, 20))
    def release_one(self, index: int) -> None:
        rows = self.driver.rows()
        if rows:
            number = rows[index % len(rows)].number
            assert self.driver.release(number).released == 1
            assert self.driver.release(number).unknown == (number,)

    @rule(giver=OWNERS, taker=OWNERS)
    def transfer(self, giver: str, taker: str) -> None:
        held = set(self.driver.machine.tables.holdings.of(giver))
        try:
            rows = self.driver.do(Transfer(from_owner=giver, to_owner=taker))
        except Refusal as refusal:
            if refusal.reason not in {"ALLOCATION_NOT_FOUND", "OWNER_RELEASED", "RESOURCE_LIMIT_EXCEEDED"}:
                raise
            return
        assert {row.number for row in rows} == held
        assert held <= set(self.driver.machine.tables.holdings.of(taker))

    @rule(owner=OWNERS, cpu=st.integers(1, 800), ahead=st.integers(5_000, 90_000), lasts=st.integers(1_000, 90_000))
    def reserve(self, owner: str, cpu: int, ahead: int, lasts: int) -> None:
        start = WALL + self.driver.now + ahead
        command = Reserve(owner=owner, spec=spec({"cpu": cpu}), start=start, end=start + lasts)
        try:
            row = self.driver.do(command)
        except Refusal as refusal:
            if refusal.reason != "INSUFFICIENT_RESOURCES":
                raise
            return
        self.promised.add(row.number)

    @rule()
    def claim(self) -> None:
        """Claim all that can be: unless something unforeseen came in between, each claim is kept."""
        for row in sorted(self.driver.machine.tables.reservations.values()):
            wall = WALL + self.driver.now
            if row.allocation or not row.window.start <= wall < row.window.claim_by or row.owner in self.released:
                continue
            try:
                self.driver.do(ClaimReservation(row.number, row.owner))
            except Refusal as refusal:
                kept = row.number not in self.promised or refusal.metadata.get("cpu.bound") in {None, "owner"}
                if refusal.reason not in {"INSUFFICIENT_RESOURCES", "COST_LIMIT_REACHED"} or not kept:
                    raise

    @rule(index=st.integers(0, 20))
    def cancel(self, index: int) -> None:
        waiting = sorted(row.number for row in self.driver.machine.tables.reservations.values() if not row.allocation)
        if waiting:
            self.driver.do(CancelReservation(waiting[index % len(waiting)]))

    @rule(index=st.integers(0, 20), cpu=st.integers(1, 900))
    def resize(self, index: int, cpu: int) -> None:
        rows = self.driver.rows()
        if not rows:
            return
        row, before = rows[index % len(rows)], {pool: self.free(pool) for pool in ("cpu", "cpu-2")}
        held = row.lot.parts[0]
        grows = cpu > held.amount
        try:
            after = self.driver.do(Resize(number=row.number, owner=row.owner, amounts=(Amount("cpu", cpu),)))
        except Refusal as refusal:
            if refusal.reason not in {"INSUFFICIENT_RESOURCES", "COST_LIMIT_REACHED"} or not grows:
                raise
            return
        assert after._replace(lot=row.lot, charged_now=row.charged_now) == row
        assert after.lot.parts[0].amount == cpu
        if grows and not row.lot.emergency:
            assert cpu - held.amount <= before[held.pool_id], "grew beyond what was free"
            assert not row.revoke_at

    @rule(index=st.integers(0, 20), used=st.integers(0, 900), task_type=st.sampled_from(["", "x", "y"]))
    def report_usage(self, index: int, used: int, task_type: str) -> None:
        rows = self.driver.rows()
        if rows:
            number = rows[index % len(rows)].number
            reports = (UsageReport(number, (Amount("cpu", used),), task_type), UsageReport(number + 1, ()))
            assert number not in self.driver.do(ReportUsage(reports))

    @rule()
    def sample(self) -> None:
        self.driver.do(SampleUse())

    @rule(kinds=st.sets(st.sampled_from(Kind), min_size=1))
    def optimize(self, kinds: set[Kind]) -> None:
        free = {pool: self.free(pool) for pool in ("cpu", "cpu-2", "memory")}
        before = {row.number: row for row in self.driver.rows()}
        found = self.driver.do(Optimize(tuple(kinds)))
        moved = {each.to_pool_id for each in found if each.to_pool_id}
        for each in found:
            row = self.driver.machine.tables.allocations[each.number]
            was = before[each.number]
            assert row._replace(lot=was.lot, revoke_at=0, charged_now=was.charged_now) == was
            assert (each.kind is Kind.RECLAIM) == bool(row.revoke_at)
            assert all(part.amount > 0 for part in row.lot.parts)
        for pool, before_it in free.items():
            assert self.free(pool) >= (0 if pool in moved else before_it), (
                "a pool has less than before, or less than none"
            )
        assert self.driver.do(Optimize(tuple(kinds - {Kind.COMPACT}))) == []

    def free(self, pool: str) -> int:
        row = self.driver.machine.tables.pools[pool]
        return row.capacity - row.reserve - self.driver.granted(pool)

    @rule(pool=POOLS, capacity=st.integers(0, 1_500))
    def resize_pool(self, pool: str, capacity: int) -> None:
        before = self.driver.granted(pool)
        self.driver.update(pool, capacity=capacity)
        self.promised.clear()
        assert self.driver.granted(pool) == before, "a cut revoked something"

    @rule(pool=POOLS, fenced=st.booleans())
    def fence(self, pool: str, fenced: bool) -> None:
        self.driver.update(pool, fenced=fenced)
        self.promised.clear()

    @rule(limit=st.integers(0, 1_000), borrowing=st.booleans())
    def set_quota(self, limit: int, borrowing: bool) -> None:
        self.driver.do(SetQuota(QuotaRow("t", (("cpu", limit),), borrowing)))

    @rule(micros=st.integers(0, 1_000))
    def set_price(self, micros: int) -> None:
        self.driver.do(SetPrice(PriceRow("cpu", micros)))

    @rule(payer=st.sampled_from(Payer), name=st.sampled_from(["", "t", "a", "b"]), micros=st.integers(0, 5_000))
    def limit_cost(self, payer: Payer, name: str, micros: int) -> None:
        self.driver.do(SetCostLimit(CostLimitRow(int(payer), name, micros)))

    @rule(name=st.sampled_from(sorted(choosing.BUILT_IN)))
    def swap_strategies(self, name: str) -> None:
        self.driver.do(SetStrategy(StrategyRow(Subject.CHOOSING, name)))

    @rule(owner=OWNERS)
    def renew(self, owner: str) -> None:
        self.driver.session.renew([owner], self.driver.now)
        self.renewed[owner] = self.driver.now

    @rule(duration=st.integers(1, TTL))
    def listen(self, duration: int) -> None:
        self._while_time_passes(lambda: self.driver.listen(duration))

    @rule(duration=st.integers(1, 10 * TTL))
    def stop(self, duration: int) -> None:
        self.promised.clear()
        if duration > SILENCE_MS:
            self.listening_since = self.driver.now + duration
        self._while_time_passes(lambda: self.driver.sleep(duration))

    @rule()
    def take_over(self) -> None:
        self.driver.take_over()
        self.listening_since = self.driver.now

    def _while_time_passes(self, passes: object) -> None:
        before = {row.number: row for row in self.driver.rows()}
        assert callable(passes)
        passes()
        after = self.driver.machine.tables.allocations
        for number, row in before.items():
            start = max(self.listening_since, row.granted_now, self.renewed.get(row.owner, 0))
            if number not in after:
                revoked = row.revoke_at and row.revoke_at <= self.driver.now
                assert revoked or self.driver.now - start >= TTL, "released within its lease"
            else:
                lag = 2_000  # a leader looks every second
                assert self.driver.now - start < TTL + RULES.grace + lag, "outlived its lease and the grace"
        for owner, since in list(self.released.items()):
            if owner not in self.driver.machine.tables.tombstones:
                assert self.driver.now - since >= RULES.tombstone
                del self.released[owner]

    @invariant()
    def replay_and_snapshot_give_the_same_tables(self) -> None:
        expected = tables(self.driver.machine)
        assert tables(self.driver.replayed()) == expected
        assert tables(self.driver.reloaded()) == expected

    @invariant()
    def tenants_and_owners_cost_the_same_and_never_less_than_before(self) -> None:
        tables, now = self.driver.machine.tables, self.driver.now
        keys = {(row.payer, row.name) for row in tables.costs.values()} | set(tables.accruing.held())
        totals = dict.fromkeys(Payer, 0)
        for key in keys:
            row = tables.costs.get(key)
            totals[Payer(key[0])] += (row.parts if row else 0) + tables.accruing.parts(key, now)
        assert totals[Payer.TENANT] == totals[Payer.OWNER] >= self.cost
        self.cost = totals[Payer.TENANT]

    @invariant()
    def who_was_released_is_barred(self) -> None:
        for owner in self.released:
            assert owner in self.driver.machine.tables.tombstones

    def teardown(self) -> None:
        for row in list(self.driver.machine.tables.reservations.values()):
            if not row.allocation:
                self.driver.do(CancelReservation(row.number))
        for held in self.driver.rows():
            self.driver.release(held.number)
        assert len(self.driver.machine.tables.reservations) == 0
        assert self.driver.machine.tables.holdings.granted == {}
        assert self.driver.machine.tables.holdings.by_tenant == {}
        with pytest.raises(Refusal):
            self.driver.do(Transfer(from_owner="a", to_owner="b"))


Resources.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestResourcesMachine = Resources.TestCase
