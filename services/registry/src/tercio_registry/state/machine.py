"""The registry's machine: passes each command and event to the noun that knows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import NOTHING, Decision, ElectionWon, Moment, Tick
from tercio_common.machine.system_tasks import SystemTasks, SystemTasksClosed, SystemTasksOpened
from tercio_common.machine.table import Table, TableStore
from tercio_registry.state import configuring, duty, health, registration
from tercio_registry.state.agents import AgentRow, IncarnationFloor, Membership
from tercio_registry.state.asking import addressed, attributed
from tercio_registry.state.commands import (
    BeginRegistration,
    CloseRegistrations,
    ConfirmAgents,
    CordonAgent,
    DeregisterAgent,
    DrainAgent,
    JudgeReservations,
    OpenSystemTasks,
    RecordPerformance,
    RegisterAgent,
    ReportSystemTasks,
)
from tercio_registry.state.config_events import ConfigActivated, ConfigEvent, ConfigRestored, RolloutEvent
from tercio_registry.state.configuring import Configuring
from tercio_registry.state.deadlines import Deadlines
from tercio_registry.state.events import (
    AgentCordoned,
    AgentDeregistered,
    AgentDrained,
    AgentRegistered,
    AgentsConfirmed,
    AgentsDeclined,
    AgentsEvicted,
    AgentsGone,
    AgentsJudged,
    Event,
    PerformanceRecorded,
    RegistrationBegun,
    RegistrationsUndone,
)
from tercio_registry.state.history import History
from tercio_registry.state.obligations import Obligations
from tercio_registry.state.performance import Performance, told
from tercio_registry.state.reservations import Reservations
from tercio_registry.state.rules import Rules
from tercio_registry.state.session import Session
from tercio_registry.state.views import AgentView, Census, IdOrder, view

AGENTS = "agents"
INCARNATIONS = "incarnations"
_FLOOR = "floor"


class RegistryMachine:
    """Pure state. The reply of a command that concerns one agent is its `AgentView` afterwards."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.tables = TableStore()
        self.agents: Table[AgentRow] = Table(AGENTS, lambda row: row.agent_id, store=self.tables)
        self.incarnations: Table[IncarnationFloor] = Table(
            INCARNATIONS, lambda _row: _FLOOR, store=self.tables, fed=False
        )
        self.system_tasks = SystemTasks(self.tables, owner="registry")
        self.obligations = Obligations(self.tables)
        self.performance = Performance(self.tables)
        self.history = History(self.tables)
        self.deadlines = Deadlines(rules)
        self._served: Deadlines | SystemTasks | Configuring = self.deadlines
        self.order = IdOrder()
        self.census = Census()
        for index in (self.deadlines, self.order, self.census):
            self.agents.add_index(index)
        self.reservations = Reservations(self.agents)
        self.configuring = Configuring(self.tables, self.agents, self.order, self.system_tasks)

    def decide(self, command: Any, at: Moment, session: Session) -> Decision:
        """See `StateMachine`."""
        match command:
            case Tick(limit=limit):
                return Decision(self._expire(at, session, limit=limit))
            case ConfirmAgents(agent_ids=agent_ids):
                return Decision(health.confirm(self.agents, agent_ids, at, session=session))
            case OpenSystemTasks(wanted=wanted):
                opened = self.system_tasks.open(addressed(self.agents, wanted), at)
                return Decision([opened], tuple(row.system_task_id for row in opened.tasks))
            case ReportSystemTasks(outcomes=outcomes):
                heard = attributed(self.agents, self.system_tasks, outcomes)
                closed, unknown = self.system_tasks.close(heard)
                events = [closed, *self.configuring.ended(closed.outcomes)]
                return Decision(events if closed.outcomes else (), unknown)
            case BeginRegistration(registration_id=registration_id):
                return Decision([self.obligations.begin(registration_id)])
            case CloseRegistrations():
                undone = self.obligations.close(command)
                return Decision([undone]) if undone is not None else NOTHING
            case JudgeReservations():
                return Decision(self.reservations.judge(command))
            case RecordPerformance(counted=counted):
                recorded = self.performance.record(counted, known=self.agents, may_grow=self._has_room)
                return Decision([recorded]) if recorded.agents else NOTHING
            case _ if isinstance(command, configuring.COMMANDS):
                return self.configuring.decide(command, at, session, room=self._room)
            case ElectionWon():
                return NOTHING
            case _:
                return self._decide_for_agent(command, at, session)

    def apply(self, event: Event, at: Moment) -> None:
        """See `StateMachine`."""
        if isinstance(event, SystemTasksOpened | SystemTasksClosed):
            self.system_tasks.apply(event)
            return
        if isinstance(event, RegistrationBegun | RegistrationsUndone):
            self.obligations.apply(event)
            return
        if isinstance(event, configuring.EVENTS):
            self.configuring.apply(event, at)
            self._tell_configuration(event, at)
            return
        if isinstance(event, PerformanceRecorded):
            self._tell_performance(event, at)
            return
        for row in self._rows_after(event, at):
            former = self.agents.get(row.agent_id)
            self.agents.put(row)
            self.obligations.follow(former, row)
            self.history.follow(former, row, at)
        if isinstance(event, AgentsEvicted):
            self._evict(event.agent_ids)

    def next_due(self) -> int | None:
        """See `StateMachine`."""
        dues = (self.deadlines.next_due(), self.system_tasks.next_due(), self.configuring.next_due())
        return min((due for due in dues if due is not None), default=None)

    def set_aside_due(self) -> str:
        """See `StateMachine`."""
        return self._served.set_aside_due()

    def _expire(self, at: Moment, session: Session, *, limit: int) -> Sequence[Event]:
        """Decide what is due of one kind: should it fail, that is the kind of what is at fault."""
        self._served = self.deadlines
        expired = health.expire(self.agents, self.deadlines, at, session=session, rules=self.rules, limit=limit)
        if expired:
            return expired
        self._served = self.system_tasks
        unreported = self.system_tasks.expire(at, limit=limit)
        if unreported.outcomes:
            return [unreported, *self.configuring.ended(unreported.outcomes)]
        self._served = self.configuring
        return self.configuring.due(at, session, limit=limit, room=self._room)

    def _decide_for_agent(self, command: Any, at: Moment, session: Session) -> Decision:
        row = self.agents.get(command.agent_id)
        event: Event | None
        match command:
            case RegisterAgent():
                self._check_space(command, row)
                registration.check_limit(row, self.census.active, self.rules)
                self.obligations.check_begun(command.registration_id)
                event = registration.register(command, row, at, rules=self.rules, floor=self._floor())
            case DeregisterAgent():
                event = registration.deregister(command, row, at)
            case CordonAgent():
                event = duty.cordon(command, row)
            case DrainAgent():
                event = duty.drain(command, row)
            case _:
                raise TypeError(f"the registry knows no command {type(command).__name__}")
        if event is not None:
            return Decision([event], self._view_after(event, at, session), creates_work=row is None)
        # Nothing changes, so the row exists: an unknown agent was refused.
        return Decision((), view(self.agents[command.agent_id], at, session))

    def _view_after(self, event: Event, at: Moment, session: Session) -> AgentView:
        return view(self._rows_after(event, at)[0], at, session)

    def _rows_after(self, event: Event, at: Moment) -> Sequence[AgentRow]:
        agents = self.agents
        match event:
            case AgentRegistered():
                return [registration.registered(event, agents.get(event.agent_id), at)]
            case AgentDeregistered():
                row, left = agents[event.agent_id], Membership.DEREGISTERED
                return [registration.ended(row, left, event.reason, at, drain=event.drain)]
            case AgentCordoned():
                return [duty.cordoned(event, agents[event.agent_id], at)]
            case AgentDrained():
                return [duty.drained(event, agents[event.agent_id], at)]
            case AgentsConfirmed():
                return [health.confirmed(agents[each], event.regularity, at) for each in event.agent_ids]
            case AgentsDeclined():
                return [health.declined(agents[each], event.regularity, at) for each in event.agent_ids]
            case AgentsJudged():
                return [health.judged(agents[each], event, at) for each in event.agent_ids]
            case AgentsGone():
                return [registration.ended(agents[each], Membership.GONE, event.reason, at) for each in event.agent_ids]
            case _:
                return []

    def _evict(self, agent_ids: Sequence[str]) -> None:
        highest = max(self.agents[agent_id].incarnation for agent_id in agent_ids)
        if highest > self._floor():
            self.incarnations.put(IncarnationFloor(highest))
        for agent_id in agent_ids:
            self.agents.delete(agent_id)
            self.performance.forget(agent_id)
            self.history.forget(agent_id)
            self.configuring.forget(agent_id)

    def _tell_performance(self, event: PerformanceRecorded, at: Moment) -> None:
        for agent_id, scores in self.performance.apply(event):
            if (row := told(self.agents[agent_id], scores, at.seq)) is not None:
                self.agents.put(row)

    def _tell_configuration(self, event: ConfigEvent | RolloutEvent, at: Moment) -> None:
        if isinstance(event, ConfigActivated | ConfigRestored):
            row, active = self.agents[event.agent_id], self.configuring.configurations.row(event.agent_id).active
            self.agents.put(replace(row, config_revision=active, changed_seq=at.seq))

    def _floor(self) -> int:
        row = self.incarnations.get(_FLOOR)
        return row.value if row is not None else 0

    @property
    def live_bytes(self) -> int:
        """About what all agents take in a snapshot, with what they did and run."""
        parts = (self.census, self.performance, self.history, self.configuring)
        return sum(part.size_bytes for part in parts)

    @property
    def _has_room(self) -> bool:
        return self._room > 0

    @property
    def _room(self) -> int:
        """How many bytes more the rows may take."""
        return self.rules.max_live_bytes - self.live_bytes

    def _check_space(self, command: RegisterAgent, row: AgentRow | None) -> None:
        # Known agents may always come back, else a full registry would empty the fleet.
        if row is None and not self._has_room:
            raise Refusal(
                "QUEUE_FULL",
                f"the registry holds {len(self.agents)} agents, as much as {self.rules.max_live_bytes} bytes allow; "
                "raise its limit, or wait until agents that are gone are forgotten",
                retry_after_ms=60_000,
            )
