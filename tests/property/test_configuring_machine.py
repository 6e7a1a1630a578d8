"""Configurations keep their promises for any order of changes, answers, restarts, silences, roll-outs and take-overs.

An agent's configuration is always one that was validated once, or none; one revision is active, and one at most is
tried; numbers only rise; a roll-out goes a step at a time, and what it began is ended, whoever leads. After each step
the tables equal their own replay and their own snapshot.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from support.configuring import KIND, ConfigDriver, sent_in
from support.registry_machine import rows
from tercio_common.errors import Refusal
from tercio_common.machine.system_tasks import Result
from tercio_registry.state.commands import DeregisterAgent
from tercio_registry.state.config_commands import CancelRollout, PauseRollout
from tercio_registry.state.documents import EMPTY

AGENTS = ("a", "b", "c")
REFUSALS = {
    "AGENT_NOT_FOUND",
    "AGENT_NOT_ACTIVE",
    "CONFIGURATION_CONFLICT",
    "CONFIGURATION_NOT_FOUND",
    "INVALID_CONFIGURATION",
    "ROLLOUT_NOT_FOUND",
    "ROLLOUT_STATE_CONFLICT",
}

agent_ids = st.sampled_from(AGENTS)
ports = st.integers(-1, 3)
results = st.sampled_from([Result.SUCCEEDED, Result.SUCCEEDED, Result.FAILED, Result.EXPIRED, Result.AGENT_GONE])
observes = st.sampled_from([0, 1_000, 10_000])


class Configuring(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.driver = ConfigDriver()
        self.newest: dict[str, int] = {}

    @initialize()
    def begin(self) -> None:
        self.driver.schema("web")
        for agent_id in AGENTS:
            self.driver.join(agent_id, agent_type="web")

    @rule(agent_id=agent_ids, instance=st.sampled_from([b"1" * 16, b"2" * 16]))
    def register(self, agent_id: str, instance: bytes) -> None:
        self.driver.join(agent_id, agent_type="web", instance=instance)

    @rule(agent_id=agent_ids)
    def leave(self, agent_id: str) -> None:
        with self.refusals():
            self.driver.do(DeregisterAgent(agent_id=agent_id))
            self.driver.tick()

    @rule(agent_id=agent_ids, port=ports, observe=observes, is_patch=st.booleans())
    def update(self, agent_id: str, port: int, observe: int, is_patch: bool) -> None:
        with self.refusals():
            self.driver.update({"port": port}, agent_id, observe=observe, is_patch=is_patch)
            assert port >= 1

    @rule(agent_id=agent_ids, revision=st.integers(0, 4))
    def roll_back(self, agent_id: str, revision: int) -> None:
        with self.refusals():
            self.driver.rollback(revision, agent_id)

    @rule(port=ports, size=st.integers(1, 3), observe=observes, most=st.integers(0, 1), back=st.booleans())
    def start(self, port: int, size: int, observe: int, most: int, back: bool) -> None:
        with self.refusals():
            fields = {"step_size": size, "observe": observe, "max_failures": most, "rolls_back": back}
            self.driver.start({"port": port}, rollout_id=f"r{self.driver.seq}", **fields)

    @rule(paused=st.booleans(), cancel=st.booleans())
    def stop(self, paused: bool, cancel: bool) -> None:
        for row in self.driver.machine.configuring.rollouts.newest_first()[:1]:
            with self.refusals():
                self.driver.do(CancelRollout(row.rollout_id) if cancel else PauseRollout(row.rollout_id, paused))
                self.driver.tick()

    @rule(agent_id=agent_ids, result=results, honest=st.booleans())
    def answer(self, agent_id: str, result: Result, honest: bool) -> None:
        if self.driver.open_task(agent_id) is not None:
            self.driver.answer(agent_id, result=result, runs=None if honest else "something else")

    @rule(duration=st.integers(1, 15_000), beating=st.sets(agent_ids))
    def listen(self, duration: int, beating: set[str]) -> None:
        self.driver.listen_well(duration, *(beating & self.known()))

    @rule()
    def take_over(self) -> None:
        self.driver.take_over()
        self.driver.tick()

    @invariant()
    def what_is_sent_was_validated_or_is_nothing(self) -> None:
        for row in self.driver.machine.configuring.revisions.table.values():
            assert row.document == EMPTY or json.loads(row.document)["port"] >= 1
        for task in self.driver.machine.system_tasks.table.values():
            document = sent_in(task)[1] if task.kind == KIND else EMPTY
            assert document == EMPTY or json.loads(document)["port"] >= 1

    @invariant()
    def numbers_only_rise(self) -> None:
        for row in self.driver.machine.configuring.revisions.configurations.values():
            assert row.newest >= self.newest.get(row.agent_id, 0)
            self.newest[row.agent_id] = row.newest

    @invariant()
    def a_roll_out_tries_no_more_than_a_step_at_once(self) -> None:
        configuring = self.driver.machine.configuring
        tried = Counter(row.rollout_id for row in configuring.revisions.table.values() if row.state.is_open)
        for row in configuring.rollouts.table.values():
            assert tried[row.rollout_id] <= row.step_size

    @invariant()
    def nothing_is_due_that_is_not_done(self) -> None:
        due = self.driver.machine.configuring.next_due()
        assert due is None or due > self.driver.now

    @invariant()
    def replay_and_snapshot_give_the_same(self) -> None:
        assert rows(self.driver.replayed()) == rows(self.driver.machine)
        assert rows(self.driver.reloaded()) == rows(self.driver.machine)

    def teardown(self) -> None:
        """Whatever happened, all comes to rest once agents answer, but for what is paused."""
        for agent_id in sorted(self.known()):
            self.driver.join(agent_id, agent_type="web")
        for _ in range(40):
            if not any(self.unsettled()):
                return
            for agent_id in AGENTS:
                if self.driver.open_task(agent_id) is not None:
                    self.driver.answer(agent_id)
            self.driver.listen_well(6_000, *self.known())
        raise AssertionError(list(self.unsettled()))

    def unsettled(self) -> Iterator[object]:
        for row in self.driver.machine.configuring.revisions.configurations.values():
            if (row.trial, row.stage.name) != (0, "SETTLED"):
                yield row
        for rollout in self.driver.machine.configuring.rollouts.table.values():
            if not rollout.state.is_over and rollout.state.name != "PAUSED":
                yield rollout

    def known(self) -> set[str]:
        return {row.agent_id for row in self.driver.machine.agents.values()}

    @contextlib.contextmanager
    def refusals(self) -> Iterator[None]:
        try:
            yield
        except Refusal as refusal:
            if refusal.reason not in REFUSALS:
                raise


Configuring.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestConfiguringMachine = Configuring.TestCase
