"""All of the machine that is about configurations: passes commands and events on, and serves their timers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from tercio_common.machine.protocol import NOTHING, Decision, Moment
from tercio_common.machine.system_tasks import SystemTaskOutcome, SystemTasks
from tercio_common.machine.table import Table, TableStore
from tercio_registry.state.agenda import Agenda
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.config_commands import (
    CancelRollout,
    ConfigCommand,
    PauseRollout,
    RollbackConfig,
    SetConfigSchema,
    StartRollout,
    UpdateConfig,
)
from tercio_registry.state.config_events import ConfigEvent, ConfigProposed, RolloutEvent
from tercio_registry.state.configurations import Configurations
from tercio_registry.state.delivery import Delivery
from tercio_registry.state.revisions import Revisions
from tercio_registry.state.rollouts import Rollouts
from tercio_registry.state.session import Session
from tercio_registry.state.sizes import Sizes
from tercio_registry.state.views import IdOrder

COMMANDS = get_args(ConfigCommand)
EVENTS = get_args(ConfigEvent | RolloutEvent)


class Configuring:
    """The configurations and roll-outs of one machine."""

    def __init__(self, store: TableStore, agents: Table[AgentRow], order: IdOrder, system_tasks: SystemTasks) -> None:
        """Add the tables to `store`; deliver by `system_tasks`."""
        self.configurations = Configurations(store, agents)
        self.delivery = Delivery(self.configurations, agents, system_tasks)
        self.rollouts = Rollouts(store, agents, order, self.configurations)
        self._served: Agenda = self.revisions.agenda
        self._sizes = Sizes()
        self.revisions.schemas.add_index(self._sizes)
        self.rollouts.table.add_index(self._sizes)

    @property
    def revisions(self) -> Revisions:
        """The revisions of every agent."""
        return self.configurations.revisions

    @property
    def size_bytes(self) -> int:
        """About how much all revisions, schemas and roll-outs take."""
        return self.revisions.size_bytes + self._sizes.size_bytes

    def decide(self, command: ConfigCommand, at: Moment, session: Session, *, room: int) -> Decision:
        """Decide a command; `room` is how many bytes new revisions may take. Raises `Refusal`."""
        match command:
            case UpdateConfig():
                return self._propose(self.configurations.update(command, room=room), at, dry=command.dry)
            case RollbackConfig():
                return self._propose(self.configurations.rollback(command, room=room), at, dry=False)
            case SetConfigSchema():
                decision = _decided(self.configurations.set_schema(command, room=room))
                return decision._replace(creates_work=bool(command.document))
            case StartRollout():
                return Decision([self.rollouts.start(command, at, session, room=room)], creates_work=True)
            case PauseRollout():
                return _decided(self.rollouts.pause(command))
            case CancelRollout():
                return _decided(self.rollouts.cancel(command))

    def due(self, at: Moment, session: Session, *, limit: int, room: int) -> list[Any]:
        """Decide what is due of one kind."""
        self._served = self.revisions.agenda
        found: list[Any] = self.delivery.due(at, limit=limit)
        if found:
            return found
        self._served = self.rollouts.agenda
        return list(self.rollouts.due(at, session, room=room))

    def tried(self, system_task_ids: Iterable[str]) -> list[tuple[str, int]]:
        """Return the agents, with the revisions, on which these system tasks try something."""
        known = self.revisions.by_system_task
        rows = [self.configurations.row(known[each]) for each in system_task_ids if each in known]
        return [(row.agent_id, row.trial) for row in rows if row.trial]

    def ended(self, outcomes: Iterable[SystemTaskOutcome]) -> list[Any]:
        """Decide on the ends of system tasks, of which some carried configurations."""
        return [event for each in outcomes if (event := self.delivery.ended(each)) is not None]

    def apply(self, event: ConfigEvent | RolloutEvent, at: Moment) -> None:
        """Change the tables."""
        if isinstance(event, RolloutEvent):
            self.rollouts.apply(event, at)
        else:
            self.configurations.apply(event, at)

    def forget(self, agent_id: str) -> None:
        """Forget the configuration of an agent that is forgotten."""
        self.revisions.forget(agent_id)

    def next_due(self) -> int | None:
        """Return when to look again."""
        dues = (self.revisions.agenda.next_due(), self.rollouts.agenda.next_due())
        return min((due for due in dues if due is not None), default=None)

    def set_aside_due(self) -> str:
        """Look no more at what was looked at last; return its name."""
        return f"the configuration or roll-out {self._served.set_aside_due()!r}"

    def _propose(self, event: ConfigProposed, at: Moment, *, dry: bool) -> Decision:
        revision = self.configurations.after(event, at)
        return Decision((), revision) if dry else Decision([event], revision, creates_work=True)


def _decided(event: ConfigEvent | RolloutEvent | None) -> Decision:
    return Decision([event]) if event is not None else NOTHING
