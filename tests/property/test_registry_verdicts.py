"""An agent's health is what the manual says, for any order of reports, canaries, heartbeats, silences and take-overs.

The specification below is written from the manual and not from the code: it counts observations in a row by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from support.registry_machine import Driver
from tercio_common.machine.system_tasks import Result
from tercio_registry.state.agents import Ailment, Health
from tercio_registry.state.commands import DeregisterAgent
from tercio_registry.state.rules import Rules
from tercio_registry.state.vitals import Vitals

RULES = Rules(interval=1_000, retention=60_000, canary_interval=2_000, canary_timeout=500)
STEP = 250
agent_ids = st.sampled_from(["a", "b"])
BAD, GOOD, NEITHER = False, True, None


@dataclass
class Spec:
    """What is known of one process, and what follows from it."""

    incarnation: int
    heard: int
    ailing: set[Ailment] = field(default_factory=set)
    against: dict[Ailment, int] = field(default_factory=dict)
    """Observations in a row that speak against the verdict."""
    failed: int = 0
    ended: int = 0
    punctual: int = 0

    def observe(self, ailment: Ailment, sign: bool | None) -> None:
        verdict = ailment in self.ailing
        if sign is not verdict:  # it fits the verdict, or says nothing
            self.against[ailment] = 0
            return
        self.against[ailment] = self.against.get(ailment, 0) + 1
        if self.against[ailment] >= (RULES.recovery_streak if verdict else RULES.failure_threshold):
            self.ailing ^= {ailment}
            self.against[ailment] = 0

    def count(self, failed: int, succeeded: int) -> None:
        self.failed, self.ended = self.failed + failed, self.ended + failed + succeeded
        if self.ended >= RULES.least_attempts:
            self.observe(Ailment.HIGH_ERROR_RATE, sign_of(self.failed / self.ended, RULES.error_percent))
            self.failed = self.ended = 0

    def begin_anew(self) -> None:
        """Another leader keeps verdicts, and nothing else."""
        self.against, self.failed, self.ended, self.punctual = {}, 0, 0, 0


def sign_of(share: float, threshold: int) -> bool | None:
    if share * 100 >= threshold:
        return BAD
    return GOOD if share * 100 < 0.8 * threshold else NEITHER


class Verdicts(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver(RULES)
        self.specs: dict[str, Spec] = {}
        self.asked: dict[str, int] = {}
        self.listening_since = 0

    @rule(agent_id=agent_ids, instance=st.sampled_from([b"1" * 16, b"2" * 16]))
    def register(self, agent_id: str, instance: bytes) -> None:
        row = self.driver.register(agent_id, instance=instance).row
        known = self.specs.get(agent_id)
        if known is None or known.incarnation != row.incarnation:
            self.specs[agent_id] = Spec(row.incarnation, self.driver.now)
        else:
            known.heard = self.driver.now
            known.punctual = 0
        assert row.regularity is Health.HEALTHY

    @rule(
        agent_id=agent_ids,
        memory=st.sampled_from([0, 10, 71, 72, 80, 89, 90, 99]),
        ended=st.sampled_from([(0, 0), (1, 0), (0, 1), (3, 2), (2, 3), (1, 4), (0, 5)]),
        times=st.integers(1, 4),
    )
    def report(self, agent_id: str, memory: int, ended: tuple[int, int], times: int) -> None:
        """Beat and report so many times in a row, an interval apart."""
        for _ in range(times):
            self._report(agent_id, memory, ended)
            self.listen(RULES.interval)

    def _report(self, agent_id: str, memory: int, ended: tuple[int, int]) -> None:
        spec = self.specs.get(agent_id)
        row = self.driver.machine.agents.get(agent_id)
        if spec is None or row is None or not row.active:
            return
        late = self.driver.now - max(spec.heard, self.listening_since) >= RULES.degraded_after
        limit = 100 if memory else 0
        vitals = Vitals(memory_used=memory, memory_limit=limit, failed=ended[0], succeeded=ended[1])
        assert self.driver.beat(agent_id, spec.incarnation, vitals=vitals) == ""
        spec.heard = self.driver.now
        if limit:
            spec.observe(Ailment.MEMORY_EXHAUSTED, sign_of(memory / limit, RULES.memory_percent))
        spec.count(*ended)
        self._check_recovery(agent_id, row.regularity, late=late)

    def _check_recovery(self, agent_id: str, before: Health, *, late: bool) -> None:
        """After missed heartbeats an agent is well again with so many punctual ones in a row, and not before."""
        spec, regularity = self.specs[agent_id], self.driver.row(agent_id).regularity
        if before is Health.HEALTHY:
            assert regularity is Health.HEALTHY
            spec.punctual = 0
            return
        spec.punctual = 0 if late else spec.punctual + 1
        recovered = spec.punctual >= RULES.recovery_streak
        assert regularity is (Health.HEALTHY if recovered else Health.DEGRADED), (before, spec.punctual)

    @rule()
    def ask(self) -> None:
        for agent_id in self.driver.ask():
            self.asked[agent_id] = self.driver.row(agent_id).incarnation

    @rule(agent_id=agent_ids, result=st.sampled_from(Result), times=st.integers(1, 4))
    def canaries(self, agent_id: str, result: Result, times: int) -> None:
        """End the canary that is open, and the next ones alike, while the agent beats."""
        for _ in range(times):
            for _ in range(4):
                self.end(agent_id, result)
                self._report(agent_id, 0, (0, 0))
                self.listen(RULES.interval // 2)
                self.ask()

    def end(self, agent_id: str, result: Result) -> None:
        incarnation = self.asked.pop(agent_id, None)
        if incarnation is None:
            return
        self.driver.end_canary(agent_id, result)
        spec, row = self.specs[agent_id], self.driver.machine.agents.get(agent_id)
        if row is None or not row.active or incarnation != spec.incarnation:
            return
        answered = {Result.SUCCEEDED: True, Result.FAILED: True, Result.EXPIRED: False}.get(result)
        if answered is not None or Ailment.DEAF in spec.ailing:
            spec.observe(Ailment.DEAF, answered)

    @rule(duration=st.integers(1, 4_000))
    def listen(self, duration: int) -> None:
        self.driver.listen(duration)

    @rule(duration=st.integers(1_001, 9_000))
    def stop_the_leader(self, duration: int) -> None:
        before = {row.agent_id: (row.ailments, row.regularity) for row in self.driver.machine.agents.values()}
        self.driver.sleep(duration)
        self.listening_since = self.driver.now
        after = {row.agent_id: (row.ailments, row.regularity) for row in self.driver.machine.agents.values()}
        assert {each: before[each] for each in after} == after, "the leader's own sleep was held against agents"

    @rule()
    def take_over(self) -> None:
        self.driver.take_over()
        self.asked.clear()
        self.listening_since = self.driver.now
        for spec in self.specs.values():
            spec.begin_anew()

    @rule(agent_id=agent_ids)
    def deregister(self, agent_id: str) -> None:
        if agent_id in self.driver.machine.agents:
            self.driver.do(DeregisterAgent(agent_id=agent_id))

    @invariant()
    def each_ails_from_what_the_manual_says(self) -> None:
        for row in self.driver.machine.agents.values():
            expected = self.specs[row.agent_id].ailing if row.active else set()
            assert set(row.ailments) == expected
            if row.active:
                assert row.health is (max(row.regularity, Health.DEGRADED) if expected else row.regularity)


Verdicts.TestCase.settings = settings(max_examples=200, stateful_step_count=25)
TestVerdicts = Verdicts.TestCase


def test_each_kind_of_verdict_is_reached_and_lifted_again() -> None:
    run = Verdicts()
    run.register("a", b"1" * 16)
    run.report("a", 99, (3, 2), 4)
    run.ask()
    run.canaries("a", Result.EXPIRED, 4)
    assert set(run.driver.row().ailments) == {Ailment.MEMORY_EXHAUSTED, Ailment.HIGH_ERROR_RATE, Ailment.DEAF}
    run.each_ails_from_what_the_manual_says()
    run.take_over()
    run.report("a", 10, (0, 5), 4)
    run.canaries("a", Result.SUCCEEDED, 4)
    assert run.driver.row().ailments == ()
    run.each_ails_from_what_the_manual_says()
