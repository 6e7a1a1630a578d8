"""Health follows its rules for any order of reports, silences, canaries and changes of leader.

The model keeps what was observed of each agent by its own rule, and never looks at how the session counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from support.registry_machine import Driver
from tercio_common.machine.system_tasks import Result
from tercio_registry.state.agents import Ailment, Health
from tercio_registry.state.rules import Rules
from tercio_registry.state.views import State
from tercio_registry.state.vitals import Vitals

RULES = Rules(interval=1_000, retention=600_000, canary_interval=5_000, canary_timeout=1_000)
NAMES = ("a", "b")
LAG = 500
"""The driver's steps, twice: until a canary is sent, and until it is answered for."""
FOUND_WITHIN = RULES.canary_interval * 11 // 10 + RULES.failure_threshold * (RULES.canary_timeout + LAG) + LAG

percents = st.integers(0, 120)


def sign_of(percent: int, threshold: int) -> bool | None:
    if percent >= threshold:
        return False
    return True if percent * 100 < threshold * RULES.recovered_percent else None


@dataclass
class Truth:
    """What was observed of one agent."""

    ailing: set[Ailment] = field(default_factory=set)
    rows: dict[Ailment, list[bool | None]] = field(default_factory=dict)
    """Observations since the verdict changed, or the leader."""
    deaf_since: int | None = None

    def observe(self, ailment: Ailment, good: bool | None) -> None:
        row = self.rows.setdefault(ailment, [])
        row.append(good)
        ailing = ailment in self.ailing
        needed = RULES.recovery_streak if ailing else RULES.failure_threshold
        if len(row) >= needed and all(each is ailing for each in row[-needed:]):
            self.ailing ^= {ailment}
            row.clear()


class Verdicts(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.driver = Driver(RULES)
        self.truth = {name: Truth() for name in NAMES}
        for name in NAMES:
            self.driver.register(name)
            self.driver.beat(name)
        self.leading_since = self.driver.now

    @rule(name=st.sampled_from(NAMES), memory=percents, disk=percents)
    def report(self, name: str, memory: int, disk: int) -> None:
        self.driver.beat(name, vitals=Vitals(memory_used=memory, memory_limit=100, disk_used=disk, disk_total=100))
        self.truth[name].observe(Ailment.MEMORY_EXHAUSTED, sign_of(memory, RULES.memory_percent))
        self.truth[name].observe(Ailment.DISK_EXHAUSTED, sign_of(disk, RULES.disk_percent))

    @rule(name=st.sampled_from(NAMES), failed=st.integers(0, 10), succeeded=st.integers(0, 10))
    def errors(self, name: str, failed: int, succeeded: int) -> None:
        total = failed + succeeded
        if total < RULES.least_attempts:
            return
        self.driver.beat(name, vitals=Vitals(failed=failed, succeeded=succeeded))
        self.truth[name].observe(Ailment.HIGH_ERROR_RATE, sign_of(failed * 100 // total, RULES.error_percent))

    @rule(name=st.sampled_from(NAMES), deaf=st.booleans())
    def hearing(self, name: str, deaf: bool) -> None:
        truth = self.truth[name]
        truth.deaf_since = (truth.deaf_since or self.driver.now) if deaf else None

    @rule(duration=st.integers(250, 8_000))
    def live(self, duration: int) -> None:
        """Time passes; all beat, those that hear answer, and for those that do not the timeout passes."""
        driver, end = self.driver, self.driver.now + duration
        while driver.now < end:
            driver.heartbeat_through(LAG // 2)
            driver.ask()
            for name, asked in driver.open_canaries():
                truth = self.truth[name]
                if truth.deaf_since is None:
                    self.answered(name, Result.SUCCEEDED, good=True)
                elif driver.now - asked >= RULES.canary_timeout:
                    self.answered(name, Result.EXPIRED, good=False)
            self.a_deaf_agent_is_found_in_time()

    def answered(self, name: str, result: Result, *, good: bool) -> None:
        self.driver.end_canary(name, result)
        self.truth[name].observe(Ailment.DEAF, good)

    @rule()
    def take_over(self) -> None:
        self.driver.take_over()
        self.leading_since = self.driver.now
        for truth in self.truth.values():
            truth.rows.clear()
        for name in NAMES:
            self.driver.beat(name)

    @invariant()
    def verdicts_follow_their_rules(self) -> None:
        for name, truth in self.truth.items():
            row = self.driver.row(name)
            assert set(row.ailments) == truth.ailing
            worst = max(row.regularity, Health.DEGRADED if truth.ailing else Health.HEALTHY)
            assert row.health is worst
            assert (self.driver.state(name) is State.HEALTHY) == (worst is Health.HEALTHY)

    def a_deaf_agent_is_found_in_time(self) -> None:
        for name, truth in self.truth.items():
            if truth.deaf_since is None:
                continue
            since = max(truth.deaf_since, self.leading_since)
            if self.driver.now - since > FOUND_WITHIN:
                assert self.driver.state(name) is not State.HEALTHY


Verdicts.TestCase.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
TestVerdicts = Verdicts.TestCase


@given(st.integers(1, 110), st.lists(st.integers(-100, 100), min_size=10, max_size=60))
@settings(max_examples=150, deadline=None)
def test_what_jitters_by_a_tenth_changes_its_verdict_at_most_once(level: int, jitters: list[int]) -> None:
    driver = Driver(RULES)
    driver.register()
    changes = 0
    for jitter in jitters:
        before = driver.row().ailments
        used = level * (1_000 + jitter)
        driver.beat(vitals=Vitals(memory_used=used, memory_limit=100_000))
        changes += driver.row().ailments != before
    assert changes <= 1


@given(st.lists(st.integers(-100, 100), min_size=5, max_size=60))
@settings(max_examples=100, deadline=None)
def test_heartbeats_that_jitter_by_a_tenth_never_change_anything(jitters: list[int]) -> None:
    driver = Driver(RULES)
    driver.register()
    driver.beat()
    before = driver.seq
    for jitter in jitters:
        driver.listen(RULES.interval + jitter)
        driver.beat()
        assert driver.state() is State.HEALTHY
    assert driver.seq == before


@given(st.lists(st.integers(1, RULES.ttl - LAG), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_an_agent_that_is_only_late_is_never_gone(silences: list[int]) -> None:
    driver = Driver(RULES)
    driver.register()
    for silence in silences:
        driver.listen(silence)
        assert driver.beat() == ""
        assert driver.state() is not State.GONE
