"""The conflicts machine under random claims, waits, requests, releases, silences and take-overs.

The driver checks every step: invariants, tokens that rise, nothing released twice. Here the test keeps its own book of
what collides, by enumerating paths, and interrupts after each step: a replay and a snapshot give the same tables.
"""

from __future__ import annotations

from itertools import combinations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from support.conflicts_machine import FILES, GLOBS, TTL, Driver, collide, file, glob, tables
from support.fair_grants import granted, has_cycle, waits_for
from tercio_common.errors import Refusal
from tercio_common.leasing.listening import SILENCE_MS
from tercio_conflicts.state.commands import Acquire, Atomicity
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import Terms
from tercio_conflicts.state.rules import Rules
from tercio_conflicts.state.things import Thing

OWNERS = st.sampled_from(["a", "b", "c", "d"])
THINGS = st.sampled_from([*map(file, FILES), *map(glob, GLOBS)])
MODES = st.sampled_from(Mode)
PRIORITIES = st.integers(0, 4)
RULES = Rules(owner_limit=6, max_waiting=8)
LAG = 2_000
"""A leader looks every second."""


class Conflicts(RuleBasedStateMachine):
    """Owners that claim, wait and ask, and a leader that may be replaced after any step."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver(RULES)
        self.renewed: dict[str, int] = {}
        self.released: dict[str, int] = {}
        self.listening_since = 0

    @rule(
        items=st.lists(st.tuples(OWNERS, THINGS, MODES), min_size=1, max_size=4),
        atomicity=st.sampled_from(Atomicity),
        priority=PRIORITIES,
        preempts=st.booleans(),
    )
    def acquire(
        self, items: list[tuple[str, Thing, Mode]], atomicity: Atomicity, priority: int, preempts: bool
    ) -> None:
        owners, things, modes = zip(*items, strict=True)
        wish = Acquire(
            things=things,
            modes=modes,
            owners=owners,
            atomicity=atomicity,
            terms=Terms(priority),
            preempts=preempts,
        )
        asking = {row.number: row.yields for row in self.driver.rows()}
        expected = granted(wish, self.driver)
        reply = self.driver.do(wish)
        assert [bool(number) for number in reply.numbers] == expected, "granted otherwise than by the rule"
        assert {row.number for row in self.driver.rows()} == {*asking, *filter(None, reply.numbers)}
        for row in self.driver.rows():
            if row.number in asking and row.yields != asking[row.number]:
                assert preempts
                assert row.terms.priority < priority, "who is not below was asked to yield"

    @rule(owner=OWNERS, things=st.lists(THINGS, min_size=1, max_size=3), mode=MODES, priority=PRIORITIES)
    def wait(self, owner: str, things: list[Thing], mode: Mode, priority: int) -> None:
        wish = self.driver.wish(owner, *things, mode=mode, priority=priority, atomicity=Atomicity.BATCH)
        try:
            self.driver.wait(wish)
        except Refusal as refusal:
            if refusal.reason != "QUEUE_FULL":
                raise

    @rule(owner=OWNERS)
    def release_owner(self, owner: str) -> None:
        held = len(self.driver.machine.tables.holdings.of(owner))
        assert self.driver.release(owners=(owner,)).released == held
        assert self.driver.release(owners=(owner,)).released == 0
        self.released.setdefault(owner, self.driver.now)
        self.serve()

    @rule(index=st.integers(0, 20))
    def release_one(self, index: int) -> None:
        rows = self.driver.rows()
        if rows:
            number = rows[index % len(rows)].number
            assert self.driver.release(number).released == 1
            assert self.driver.release(number).unknown == (number,)
            self.serve()

    @rule(giver=OWNERS, taker=OWNERS, part=st.booleans())
    def transfer(self, giver: str, taker: str, part: bool) -> None:
        held = sorted(self.driver.machine.tables.holdings.of(giver))
        handed = held[: len(held) // 2] if part else held
        try:
            rows = self.driver.transfer(giver, taker, *handed)
        except Refusal as refusal:
            if refusal.reason not in {"CLAIM_NOT_FOUND", "OWNER_RELEASED", "CLAIM_LIMIT_EXCEEDED", "CLAIM_CONFLICT"}:
                raise
            return
        assert {row.number for row in rows} == set(handed or held)
        self.serve()

    @rule(index=st.integers(0, 20), priority=PRIORITIES)
    def ask(self, index: int, priority: int) -> None:
        rows = self.driver.rows()
        if rows:
            before = rows[index % len(rows)]
            (after,) = self.driver.ask(before.number, priority=priority)
            assert after.yields is not None
            assert after.yields.at >= self.driver.now + RULES.grace or after.yields == before.yields
            assert before.yields is None or after.yields.at <= before.yields.at

    @rule(owner=OWNERS)
    def renew(self, owner: str) -> None:
        self.driver.session.renew([owner], self.driver.now)
        self.renewed[owner] = self.driver.now

    @rule(index=st.integers(0, 20))
    def give_up(self, index: int) -> None:
        tickets = list(self.driver.session.waiting)
        if tickets:
            self.driver.session.waiting.leave(tickets[index % len(tickets)])
            self.serve()

    @rule()
    def detect(self) -> None:
        for victim in self.driver.detect():
            assert victim not in list(self.driver.session.waiting)
        self.serve()
        self.driver.detect()
        assert not has_cycle(self.driver), "a cycle of waits outlived the detector"

    @rule(duration=st.integers(1, TTL))
    def listen(self, duration: int) -> None:
        self._while_time_passes(lambda: self.driver.listen(duration))

    @rule(duration=st.integers(1, 10 * TTL))
    def stop(self, duration: int) -> None:
        if duration > SILENCE_MS:
            self.listening_since = self.driver.now + duration
        self._while_time_passes(lambda: self.driver.sleep(duration))

    @rule()
    def take_over(self) -> None:
        self.driver.take_over()
        self.listening_since = self.driver.now

    def serve(self) -> None:
        """Serve who waits until nobody can be; then everybody who is left has something in its way."""
        while self.driver.serve():
            pass
        for ticket in self.driver.session.waiting:
            owner = ticket.owner
            limited = (
                len(self.driver.machine.tables.holdings.of(owner)) + len(ticket.command.things) > RULES.owner_limit
            )
            assert owner in self.released or limited or waits_for(ticket, self.driver), "nothing is in its way"

    def _while_time_passes(self, passes: object) -> None:
        before = {row.number: row for row in self.driver.rows()}
        assert callable(passes)
        passes()
        after = self.driver.machine.tables.claims
        for number, row in before.items():
            start = max(self.listening_since, row.granted_now, self.renewed.get(row.owner, 0))
            yielded = row.yields is not None and row.yields.at <= self.driver.now
            if number not in after:
                assert yielded or self.driver.now - start >= TTL, "released within its lease"
            else:
                assert row.yields is None or self.driver.now < row.yields.at + LAG, "did not yield"
                assert self.driver.now - start < TTL + RULES.grace + LAG, "outlived its lease and the grace"
        for owner, since in list(self.released.items()):
            if owner not in self.driver.machine.tables.tombstones:
                assert self.driver.now - since >= RULES.tombstone
                del self.released[owner]
        self.serve()

    @invariant()
    def nothing_incompatible_is_held(self) -> None:
        for one, other in combinations(self.driver.rows(), 2):
            assert not collide(one, other), f"{one} and {other}"

    @invariant()
    def replay_and_snapshot_give_the_same_tables(self) -> None:
        expected = tables(self.driver.machine)
        assert tables(self.driver.replayed()) == expected
        assert tables(self.driver.reloaded()) == expected

    @invariant()
    def who_was_released_is_barred(self) -> None:
        for owner in self.released:
            assert owner in self.driver.machine.tables.tombstones

    def teardown(self) -> None:
        for row in self.driver.rows():
            self.driver.release(row.number)
        assert not self.driver.machine.tables.holdings.owners()


Conflicts.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestConflictsMachine = Conflicts.TestCase
