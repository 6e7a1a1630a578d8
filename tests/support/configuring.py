"""Drives configurations: agents that take what they are sent, refuse it, or run something else."""

from __future__ import annotations

import json
from typing import Any

from support.registry_machine import Driver
from tercio_common.machine.system_tasks import Result, SystemTaskOutcome, SystemTaskRow
from tercio_registry.state.agents import Profile
from tercio_registry.state.commands import ReportSystemTasks
from tercio_registry.state.config_commands import Change, RollbackConfig, SetConfigSchema, StartRollout, UpdateConfig
from tercio_registry.state.documents import digest
from tercio_registry.state.revisions import ConfigurationRow, RevisionRow
from tercio_registry.state.rollout_rows import RolloutRow

OBSERVE = 10_000
SCHEMA = json.dumps({"properties": {"port": {"type": "integer", "minimum": 1}}, "required": ["port"]})
KIND = "tercio.configure"


def sent_in(task: SystemTaskRow) -> tuple[int, str]:
    """Return the revision and the document that an agent is sent."""
    number, _, document = task.input.decode().partition("\n")
    return int(number), document


class ConfigDriver(Driver):
    """A registry whose agents are sent configurations."""

    def join(self, agent_id: str = "a", *, agent_type: str = "", instance: bytes = b"1" * 16) -> None:
        self.register(agent_id, profile=Profile(agent_type=agent_type), instance=instance)
        self.tick()

    def schema(self, agent_type: str, document: str = SCHEMA) -> None:
        self.do(SetConfigSchema(agent_type=agent_type, document=document))

    def update(self, document: Any, agent_id: str = "a", **fields: Any) -> RevisionRow:
        change = Change(json.dumps(document), fields.pop("is_patch", False))
        reply: RevisionRow = self.do(UpdateConfig(agent_id=agent_id, change=change, **{"observe": OBSERVE, **fields}))
        self.tick()
        return reply

    def rollback(self, revision: int = 0, agent_id: str = "a") -> RevisionRow:
        reply: RevisionRow = self.do(RollbackConfig(agent_id=agent_id, revision=revision, observe=OBSERVE))
        self.tick()
        return reply

    def start(self, document: Any, **fields: Any) -> None:
        given = {"rollout_id": "r", "filter": "", "step_size": 2, "observe": OBSERVE, **fields}
        self.do(StartRollout(change=Change(json.dumps(document)), **given))
        self.tick()

    def open_task(self, agent_id: str = "a") -> SystemTaskRow | None:
        """Return what is under way to the agent."""
        row = self.configuration(agent_id)
        return self.machine.system_tasks.table.get(row.system_task_id)

    def answer(
        self, agent_id: str = "a", *, result: Result = Result.SUCCEEDED, runs: str | None = None, why: str = ""
    ) -> str:
        """End what is under way to the agent, and return the document that it was sent."""
        task = self.open_task(agent_id)
        assert task is not None
        assert (task.kind, task.agent_id) == (KIND, agent_id)
        _, document = sent_in(task)
        output = json.dumps({"digest": digest(runs or document)}).encode()
        outcome = SystemTaskOutcome(
            task.system_task_id, result, output if result is Result.SUCCEEDED else b"", "BAD" if why else "", why
        )
        self.do(ReportSystemTasks((outcome,)))
        self.tick()
        return document

    def listen_well(self, duration: int, *agent_ids: str) -> None:
        """Let fleet time pass while these agents beat."""
        end = self.now + duration
        while self.now < end:
            self.listen(min(self.rules.interval // 2, end - self.now))
            for agent_id in agent_ids or ("a",):
                self.beat(agent_id, self.row(agent_id).incarnation)
            self.tick()

    def settle(self, document: Any, agent_id: str = "a") -> int:
        """Make a document active; return its revision."""
        revision = self.update(document, agent_id, observe=0).revision
        self.answer(agent_id)
        assert self.state_of(agent_id, revision) == "ACTIVE"
        return revision

    def configuration(self, agent_id: str = "a") -> ConfigurationRow:
        return self.machine.configuring.configurations.row(agent_id)

    def revision(self, number: int, agent_id: str = "a") -> RevisionRow:
        return self.machine.configuring.configurations.present(agent_id, number)

    def state_of(self, agent_id: str, number: int) -> str:
        return self.revision(number, agent_id).state.name

    def states(self, agent_id: str = "a") -> list[str]:
        """Return the states of every revision, the oldest first."""
        return [row.state.name for row in reversed(self.machine.configuring.revisions.of(agent_id))]

    def active(self, agent_id: str = "a") -> Any:
        """Return the active document."""
        row = self.configuration(agent_id)
        return json.loads(self.revision(row.active, agent_id).document) if row.active else None

    def rollout(self, rollout_id: str = "r") -> RolloutRow:
        return self.machine.configuring.rollouts.present(rollout_id)
