"""Reservations are kept: without cuts and emergencies every claim in its window is granted, whatever others hold on to.

Holders renew without end, and nobody releases for a reservation's sake. The driver checks that nothing is over-granted.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from support.resources_machine import CPU, WALL, Driver, spec
from tercio_common.errors import Refusal
from tercio_resources.state.reservation_rows import CancelReservation, ClaimReservation, Reserve
from tercio_resources.state.rows import PoolRow
from tercio_resources.state.rules import Rules

RULES = Rules(
    default_pools=(CPU._replace(reserve=100), PoolRow("cpu-2", "cpu", "millicores", 400)),
    reservation_lead=20_000,
    reservation_claim=15_000,
)
CPUS = st.integers(100, 900)


class Reservations(RuleBasedStateMachine):
    """Those who grab what they can, and those who planned ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver(RULES)
        self.grants = 0

    @rule(cpu=CPUS, priority=st.integers(0, 9), count=st.integers(1, 5))
    def grab(self, cpu: int, priority: int, count: int) -> None:
        for _ in range(count):
            self.grants += 1
            self.driver.grant(f"o{self.grants}", amounts={"cpu": cpu}, priority=priority)

    @rule(index=st.integers(0, 20))
    def release(self, index: int) -> None:
        rows = self.driver.rows()
        if rows:
            self.driver.release(rows[index % len(rows)].number)

    @rule(cpu=CPUS, ahead=st.integers(5_000, 40_000), lasts=st.integers(1_000, 40_000))
    def reserve(self, cpu: int, ahead: int, lasts: int) -> None:
        start = WALL + self.driver.now + ahead
        self.grants += 1
        command = Reserve(owner=f"r{self.grants}", spec=spec({"cpu": cpu}), start=start, end=start + lasts)
        try:
            self.driver.do(command)
        except Refusal as refusal:
            if refusal.reason != "INSUFFICIENT_RESOURCES":
                raise

    @rule(index=st.integers(0, 20))
    def cancel(self, index: int) -> None:
        waiting = sorted(row.number for row in self.driver.machine.tables.reservations.values() if not row.allocation)
        if waiting:
            self.driver.do(CancelReservation(waiting[index % len(waiting)]))

    @rule(seconds=st.integers(1, 30), claims=st.booleans(), grabs=st.booleans())
    def pass_time(self, seconds: int, claims: bool, grabs: bool) -> None:
        for _ in range(seconds):
            if grabs:
                self.grab(100, 5, 1)
            self.driver.session.renew(self.driver.machine.tables.holdings.owners(), self.driver.now)
            self.driver.listen(1_000)
            if claims:
                self.claim_all()

    @rule()
    def claim_all(self) -> None:
        wall = WALL + self.driver.now
        for row in sorted(self.driver.machine.tables.reservations.values()):
            if not row.allocation and row.window.start <= wall < row.window.claim_by:
                self.driver.do(ClaimReservation(row.number, row.owner))

    @rule()
    def take_over(self) -> None:
        self.driver.take_over()

    @invariant()
    def what_was_claimed_is_over_at_the_windows_end(self) -> None:
        wall = WALL + self.driver.now
        for row in self.driver.machine.tables.reservations.values():
            assert not row.allocation or wall < row.window.end + 1_000, "it outlived its window"

    def teardown(self) -> None:
        for row in list(self.driver.machine.tables.reservations.values()):
            if not row.allocation:
                self.driver.do(CancelReservation(row.number))
        for held in self.driver.rows():
            self.driver.release(held.number)
        assert len(self.driver.machine.tables.reservations) == 0
        assert self.driver.machine.tables.holdings.granted == {}


Reservations.TestCase.settings = settings(max_examples=100, stateful_step_count=20)
TestReservations = Reservations.TestCase
