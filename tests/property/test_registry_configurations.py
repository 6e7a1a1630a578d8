"""What an agent is given is a document that validated when it was asked for, or no configuration at all.

For any order of changes, schemas, answers, ailments, restarts, take-overs and roll-outs. Whatever is under way comes to
an end once agents answer. The test validates by itself, with one rule instead of a schema.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from support.configuring import KIND, SCHEMA, ConfigDriver, sent_in
from support.registry_machine import rows
from tercio_common.errors import Refusal
from tercio_common.machine.system_tasks import Result
from tercio_registry.state.commands import DeregisterAgent
from tercio_registry.state.config_commands import CancelRollout, PauseRollout
from tercio_registry.state.configurations import Configurations
from tercio_registry.state.documents import EMPTY
from tercio_registry.state.revisions import RevisionState, Stage
from tercio_registry.state.rollout_rows import RolloutState
from tercio_registry.state.vitals import Vitals

KINDS = {"a": "web", "b": "web", "c": "plain"}
REFUSALS = ("INVALID_CONFIGURATION", "CONFIGURATION_CONFLICT", "CONFIGURATION_NOT_FOUND", "AGENT_NOT", "ROLLOUT_STATE")
agent_ids = st.sampled_from(sorted(KINDS))
documents = st.sampled_from([{"port": 1}, {"port": 2}, {"port": 0}, {"port": "x"}, {"other": 1}, {}])


def conforms(document: Any) -> bool:
    """Say what `SCHEMA` says."""
    port = document.get("port")
    return isinstance(port, int) and port >= 1


class Configured(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.driver = ConfigDriver()
        self.has_schema = False
        self.valid: dict[tuple[str, int], bool] = {}
        """By agent and revision whether it validated when it came to be."""
        self.sent: dict[str, int] = {}
        self.rollouts = 0

    def note(self) -> None:
        """Validate every revision that is new."""
        for row in self.driver.machine.configuring.revisions.table.values():
            key = row.agent_id, row.revision
            if key in self.valid:
                continue
            if row.restored and row.state is RevisionState.ACTIVE:  # what was active before, and so validated then
                self.valid[key] = self.valid[row.agent_id, row.restored]
            elif row.state is RevisionState.ACTIVE:
                self.valid[key] = row.document == EMPTY
            else:
                checked = self.has_schema and KINDS[row.agent_id] == "web"
                self.valid[key] = not checked or conforms(json.loads(row.document))

    def attempt(self, action: Any, *arguments: Any, **fields: Any) -> None:
        try:
            action(*arguments, **fields)
        except Refusal as refusal:
            if not refusal.reason.startswith(REFUSALS):
                raise
        self.note()

    @rule(agent_id=agent_ids, first=st.booleans())
    def join(self, agent_id: str, first: bool) -> None:
        before = self.driver.machine.agents.get(agent_id)
        instance = b"1" * 16 if first else b"2" * 16
        self.driver.join(agent_id, agent_type=KINDS[agent_id], instance=instance)
        if before is not None and before.incarnation != self.driver.row(agent_id).incarnation:
            self.sent.pop(agent_id, None)
        self.note()

    @rule(agent_id=agent_ids, document=documents, is_patch=st.booleans(), observe=st.sampled_from([0, 2_000]))
    def update(self, agent_id: str, document: Any, is_patch: bool, observe: int) -> None:
        self.attempt(self.driver.update, document, agent_id, is_patch=is_patch, observe=observe)

    @rule(agent_id=agent_ids, back=st.integers(0, 3))
    def roll_back(self, agent_id: str, back: int) -> None:
        newest = self.driver.configuration(agent_id).newest
        self.attempt(self.driver.rollback, max(0, newest - back) if back else 0, agent_id)

    @rule(present=st.booleans())
    def set_schema(self, present: bool) -> None:
        self.driver.schema("web", SCHEMA if present else "")
        self.has_schema = present

    @rule(
        agent_id=agent_ids,
        result=st.sampled_from([Result.SUCCEEDED, Result.SUCCEEDED, Result.FAILED, Result.EXPIRED, Result.AGENT_GONE]),
        runs=st.sampled_from([None, None, None, '{"x":1}']),
    )
    def answer(self, agent_id: str, result: Result, runs: str | None) -> None:
        if self.driver.open_task(agent_id) is not None:
            self.driver.answer(agent_id, result=result, runs=runs)
        self.note()

    @rule(agent_id=agent_ids)
    def ail(self, agent_id: str) -> None:
        for _ in range(3):
            row = self.driver.machine.agents.get(agent_id)
            if row is not None and row.active:
                self.driver.beat(agent_id, row.incarnation, vitals=Vitals(memory_used=99, memory_limit=100))
        self.driver.tick()
        self.note()

    @rule(agent_id=agent_ids)
    def leave(self, agent_id: str) -> None:
        if agent_id in self.driver.machine.agents:
            self.driver.do(DeregisterAgent(agent_id=agent_id))
            self.driver.tick()
        self.note()

    @rule(duration=st.integers(100, 3_500), alive=st.booleans())
    def wait(self, duration: int, alive: bool) -> None:
        """Time passes, and agents beat, or fall silent."""
        if alive:
            self.driver.heartbeat_through(duration)
        else:
            self.driver.listen(duration)
        self.note()

    @rule()
    def take_over(self) -> None:
        self.driver.take_over()
        self.driver.tick()
        self.note()

    @rule(document=documents, rolls_back=st.booleans(), size=st.integers(1, 3))
    def roll_out(self, document: Any, rolls_back: bool, size: int) -> None:
        self.rollouts += 1
        self.attempt(
            self.driver.start,
            document,
            rollout_id=f"r{self.rollouts}",
            step_size=size,
            rolls_back=rolls_back,
            observe=0,
        )

    @rule(command=st.sampled_from([CancelRollout, PauseRollout]))
    def stop_the_last_roll_out(self, command: Any) -> None:
        if self.rollouts:
            name = f"r{self.rollouts}"
            stopping = command(name) if command is CancelRollout else command(name, paused=True)
            self.attempt(self.driver.do, stopping)
            self.driver.tick()
        self.note()

    @invariant()
    def what_is_active_once_validated(self) -> None:
        for row in self.driver.machine.configuring.revisions.configurations.values():
            if row.active:
                assert self.valid[row.agent_id, row.active], f"{row.agent_id} runs revision {row.active}"

    @invariant()
    def what_is_sent_once_validated_and_numbers_only_rise(self) -> None:
        for task in self.driver.machine.system_tasks.table.values():
            if task.kind != KIND:
                continue
            number, document = sent_in(task)
            assert self.valid[task.agent_id, number], f"{task.agent_id} is sent revision {number}"
            assert document == self.driver.revision(number, task.agent_id).document
            if self.driver.open_task(task.agent_id) == task:
                assert number >= self.sent.get(task.agent_id, 0), "an agent would refuse it"
                self.sent[task.agent_id] = number

    @invariant()
    def replay_and_snapshot_give_the_same_tables(self) -> None:
        expected = rows(self.driver.machine)
        assert rows(self.driver.replayed()) == expected
        assert rows(self.driver.reloaded()) == expected

    def teardown(self) -> None:
        """Once every agent answers, all comes to an end, and each present agent runs what is active."""
        runs: dict[str, str] = {}
        for _ in range(400):
            for agent_id in KINDS:
                if self.driver.open_task(agent_id) is not None:
                    runs[agent_id] = self.driver.answer(agent_id)
            self.driver.heartbeat_through(1_000)
            if self._is_settled():
                break
        assert self._is_settled()
        for agent_id, document in runs.items():
            row = self.driver.configuration(agent_id)
            if row.active and self.driver.row(agent_id).active:
                assert document == self.driver.revision(row.active, agent_id).document

    def _is_settled(self) -> bool:
        configuring = self.driver.machine.configuring
        over = all(row.state.is_over or row.state is RolloutState.PAUSED for row in configuring.rollouts.table.values())
        return over and all(
            not row.trial and (row.stage is Stage.SETTLED or not self._is_present(row.agent_id))
            for row in configuring.revisions.configurations.values()
        )

    def _is_present(self, agent_id: str) -> bool:
        return self.driver.row(agent_id).active


Configured.TestCase.settings = settings(max_examples=100, stateful_step_count=25)
TestConfigured = Configured.TestCase


def scripted(*, restores: bool) -> Configured:
    """Take a configuration, and ask for one that does not conform, or for one that the agent refuses."""
    run = Configured()
    run.join("a", first=True)
    run.set_schema(present=True)
    run.update("a", {"port": 1}, is_patch=False, observe=0)
    run.answer("a", Result.SUCCEEDED, None)
    run.update("a", {"port": 2 if restores else 0}, is_patch=False, observe=0)
    run.answer("a", Result.FAILED if restores else Result.SUCCEEDED, None)
    run.answer("a", Result.SUCCEEDED, None)
    run.what_is_active_once_validated()
    run.what_is_sent_once_validated_and_numbers_only_rise()
    run.teardown()
    return run


@pytest.mark.parametrize("restores", [False, True], ids=["one that does not conform", "one that is refused"])
def test_what_does_not_work_leaves_the_former_one_active(restores: bool) -> None:
    run = scripted(restores=restores)
    assert run.driver.active() == {"port": 1}
    assert run.driver.states() == (["SUPERSEDED", "FAILED", "ACTIVE"] if restores else ["ACTIVE"])


def test_a_registry_that_does_not_validate_would_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Configurations, "violations", lambda *_: ())
    with pytest.raises(AssertionError, match="a runs revision 2"):
        scripted(restores=False)
