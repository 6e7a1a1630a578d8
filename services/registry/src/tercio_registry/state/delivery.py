"""Configurations on their way: what is due, what came of a delivery, and when a revision is given up.

An agent is sent what is tried once, and what is active until it has it: after a restoration, and as a new process. What
is tried is given up when the agent does not take it, runs something else, or gets worse while it is observed.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Moment
from tercio_common.machine.system_tasks import Result, SystemTaskOutcome, SystemTasks, SystemTaskWanted
from tercio_common.machine.table import Table
from tercio_registry.state.agents import OWN_AILMENTS, AgentRow, Membership
from tercio_registry.state.asking import addressed
from tercio_registry.state.config_events import (
    ConfigActivated,
    ConfigDelivered,
    ConfigDeliveriesBegun,
    ConfigDelivery,
    ConfigRestored,
    ConfigRetried,
)
from tercio_registry.state.configurations import Configurations
from tercio_registry.state.documents import digest
from tercio_registry.state.revisions import ConfigurationRow, RevisionState, Stage
from tercio_registry.state.views import recorded_state, why

KIND: Final = "tercio.configure"
MOST_BYTES: Final = 256 << 10
"""Of documents in one record: half a commit."""
_POSTPONED_MS: Final = 5_000
_MOST_MESSAGE: Final = 1_024
_APPLY_FAILED: Final = "CONFIGURATION_APPLY_FAILED"
_NOT_VALID: Final = "POST_UPDATE_VALIDATION_FAILED"
_REGRESSION: Final = "CONFIG_REGRESSION"
_TROUBLE: Final = {
    Result.EXPIRED: "the agent did not answer in time",
    Result.AGENT_GONE: "the agent is not connected, or went away before it answered",
    Result.UNREPORTED: "nobody told what became of it; is the scheduler away?",
}

Outcome = ConfigDelivered | ConfigRetried | ConfigRestored
DueEvent = ConfigActivated | ConfigRestored


class _Look(NamedTuple):
    """What is due for an agent: an event, a delivery, or nothing until `again`."""

    event: DueEvent | None = None
    delivers: bool = False
    again: int | None = None


_NOTHING: Final = _Look()


class Delivery:
    """The part of the configurations that moves by itself."""

    def __init__(self, configurations: Configurations, agents: Table[AgentRow], system_tasks: SystemTasks) -> None:
        """Deliver by system tasks."""
        self._configurations, self._agents, self._system_tasks = configurations, agents, system_tasks

    def due(self, at: Moment, *, limit: int) -> list[object]:
        """Decide what is due, for at most `limit` agents."""
        agenda = self._configurations.revisions.agenda
        found: list[object] = []
        chosen: list[ConfigurationRow] = []
        size = 0
        while len(found) + len(chosen) < limit and size < MOST_BYTES and (agent_id := agenda.pop(at.now)) is not None:
            row = self._configurations.row(agent_id)
            with agenda.kept_on_failure(agent_id, at.now):
                look = self._look(row, at)
            if look.event is not None:
                found.append(look.event)
            elif look.delivers:
                chosen.append(row)
                size += len(self._configurations.present(agent_id, row.wanted).document.encode())
            elif look.again is not None:
                agenda.set(agent_id, look.again)
                continue
            else:
                continue
            agenda.set(agent_id, at.now + 1)  # should the change be undone, the agent is looked at again
        return [*found, *self._begin(chosen, at)]

    def ended(self, outcome: SystemTaskOutcome) -> Outcome | None:
        """Decide on the end of a system task; None when it carried no configuration, or one that nobody waits for."""
        agent_id = self._configurations.revisions.by_system_task.get(outcome.system_task_id)
        if agent_id is None:
            return None
        row, agent = self._configurations.row(agent_id), self._agents[agent_id]
        failure = self._failure(row, agent, outcome)
        if failure is None:
            return ConfigDelivered(agent_id)
        return _given_up(row, RevisionState.FAILED, *failure) if row.trial else ConfigRetried(agent_id)

    def _look(self, row: ConfigurationRow, at: Moment) -> _Look:
        agent = self._agents[row.agent_id]
        match row.stage:
            case Stage.OBSERVING:
                worse = _worse(row, agent)
                if worse:
                    return _Look(_given_up(row, RevisionState.ROLLED_BACK, _REGRESSION, worse))
                return _Look(ConfigActivated(row.agent_id)) if at.now >= row.due else _Look(again=row.due)
            case Stage.WAITING if not agent.active:
                left = f"the agent is {agent.membership.name}"
                return _Look(_given_up(row, RevisionState.FAILED, _APPLY_FAILED, left)) if row.trial else _NOTHING
            case Stage.WAITING:
                return _Look(delivers=True) if at.now >= row.due else _Look(again=row.due)
            case Stage.SETTLED if agent.active and row.active and agent.incarnation != row.incarnation:
                return _Look(delivers=True)
            case _:
                return _NOTHING

    def _begin(self, rows: list[ConfigurationRow], at: Moment) -> list[object]:
        if not rows:
            return []
        try:
            opened = self._system_tasks.open(addressed(self._agents, map(self._wanted, rows)), at)
        except Refusal:  # nobody carries out what is open already
            for row in rows:
                self._configurations.revisions.agenda.set(row.agent_id, at.now + _POSTPONED_MS)
            return []
        deliveries = (ConfigDelivery(task.agent_id, task.incarnation, task.system_task_id) for task in opened.tasks)
        return [opened, ConfigDeliveriesBegun(tuple(deliveries))]

    def _wanted(self, row: ConfigurationRow) -> SystemTaskWanted:
        revision = self._configurations.present(row.agent_id, row.wanted)
        return SystemTaskWanted(
            kind=KIND,
            agent_id=row.agent_id,
            timeout=revision.timeout,
            # As it is, after its number on a line of its own: quoted it could outgrow a system task.
            input=f"{revision.revision}\n{revision.document}".encode(),
            incarnation=self._agents[row.agent_id].incarnation,
        )

    def _failure(self, row: ConfigurationRow, agent: AgentRow, outcome: SystemTaskOutcome) -> tuple[str, str] | None:
        """Return reason and message when the agent does not run what it was sent, as far as is known."""
        if outcome.result is Result.FAILED:
            return _APPLY_FAILED, f"{outcome.error_reason}: {outcome.error_message}"
        if outcome.result is not Result.SUCCEEDED:
            return _APPLY_FAILED, _TROUBLE[outcome.result]
        if not agent.active:
            return _APPLY_FAILED, f"the agent is {agent.membership.name}"
        revision = self._configurations.present(row.agent_id, row.wanted)
        if _digest_in(outcome.output) != digest(revision.document):
            return _NOT_VALID, "the agent runs another configuration than it was given"
        found = self._configurations.violations(agent, revision.document) if row.trial else ()
        if found:
            return _NOT_VALID, f"the schema was changed meanwhile: {found[0].field}: {found[0].description}"
        return None


def _given_up(row: ConfigurationRow, state: RevisionState, reason: str, message: str) -> ConfigRestored:
    return ConfigRestored(agent_id=row.agent_id, state=state, reason=reason, message=message[:_MOST_MESSAGE])


def _worse(row: ConfigurationRow, agent: AgentRow) -> str:
    """Say in which way the agent is worse than when it took what is tried; empty when it is not."""
    if agent.membership is Membership.GONE:
        return f"the agent is gone: {agent.reason}"
    if agent.incarnation != row.incarnation:
        return "the agent's process ended, and another took its place"
    worsened = agent.own_health > row.health or (OWN_AILMENTS.intersection(agent.ailments) - set(row.ailments))
    if agent.active and worsened:
        how = why(agent, recorded_state(agent))
        return f"the agent was {row.health.name} and is {agent.health.name}: {how}"
    return ""


def _digest_in(output: bytes) -> str:
    try:
        answer = json.loads(output)
    except (ValueError, RecursionError):
        return ""
    return str(answer.get("digest", "")) if isinstance(answer, dict) else ""
