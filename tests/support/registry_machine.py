"""Drives the registry's machine as its host and its edge do, on fleet time that the test moves."""

from __future__ import annotations

from typing import Any

from tercio_common.epochs import Epoch
from tercio_common.errors import Refusal
from tercio_common.machine.protocol import ElectionWon, Moment, Tick
from tercio_common.machine.system_tasks import Result, SystemTaskOutcome
from tercio_registry.codec import RegistryCodec
from tercio_registry.state import heartbeats
from tercio_registry.state.agents import AgentRow, Profile
from tercio_registry.state.commands import ConfirmAgents, OpenSystemTasks, RegisterAgent, ReportSystemTasks
from tercio_registry.state.invariants import violations
from tercio_registry.state.machine import RegistryMachine
from tercio_registry.state.rules import Rules
from tercio_registry.state.session import Session
from tercio_registry.state.views import AgentView, State, state_of, view
from tercio_registry.state.vitals import Vitals

MINE = "mine"
WALL = 1_700_000_000_000


class Driver:
    """One registry over several leaderships. Each step checks every invariant."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules(interval=1_000, retention=60_000)
        self.codec = RegistryCodec()
        self.machine = RegistryMachine(self.rules)
        self.now = 0
        self.seq = 0
        self.epoch = Epoch(1, 10)
        self.journal: list[tuple[Moment, list[bytes]]] = []
        self.session = Session(self.rules)
        self._begin()

    def _begin(self) -> None:
        self.session = Session(self.rules)
        self._open: dict[str, str] = {}
        self._asked: dict[str, int] = {}
        self.do(ElectionWon())
        self.session.pulse(self.now)

    def moment(self) -> Moment:
        return Moment(self.seq + 1, self.now, WALL + self.now, self.epoch, "tester", self.seq)

    def do(self, command: Any) -> Any:
        """Decide and apply one command; return its reply."""
        at = self.moment()
        self.machine.tables.begin()
        try:
            decision = self.machine.decide(command, at, self.session)
        except Refusal:
            assert not self.machine.tables.undo
            raise
        for event in decision.events:
            self.machine.apply(event, at)
        if decision.events:
            self.seq = at.seq
            self.journal.append((at, [self.codec.encode_event(event) for event in decision.events]))
        assert not list(violations(self.machine, self.epoch))
        return decision.reply

    def register(
        self,
        agent_id: str = "a",
        *,
        secret: str = MINE,
        instance: bytes = b"1" * 16,
        profile: Profile | None = None,
    ) -> AgentView:
        command = RegisterAgent(
            agent_id=agent_id, profile=profile or Profile(), fingerprint=secret, instance_id=instance
        )
        reply: AgentView = self.do(command)
        return reply

    def beat(
        self, agent_id: str = "a", incarnation: int = 1, *, active_attempts: int = 0, vitals: Vitals | None = None
    ) -> str:
        """Receive one heartbeat, record what it brings, and return the reason of its answer."""
        self.session.pulse(self.now)
        answer = heartbeats.receive(
            self.machine.agents,
            agent_id,
            incarnation,
            session=self.session,
            now=self.now,
            epoch=self.epoch,
            active_attempts=active_attempts,
            vitals=vitals,
        )
        self._confirm()
        return answer.reason

    def _confirm(self) -> None:
        while self.session.has_pending:
            self.do(ConfirmAgents(self.session.take_pending(1000)))

    def heartbeat_through(self, duration: int) -> None:
        """Let time pass while every active agent beats."""
        end = self.now + duration
        while self.now < end:
            for row in list(self.machine.agents.values()):
                if row.active:
                    self.beat(row.agent_id, row.incarnation)
            self.listen(min(self.rules.interval, end - self.now))

    def ask(self) -> list[str]:
        """Send the canaries that are due; return whom."""
        wanted = self.session.canaries.take_due(self.machine.agents, self.now, limit=1000)
        if wanted:
            self._open |= dict(zip((each.agent_id for each in wanted), self.do(OpenSystemTasks(wanted)), strict=True))
        for each in wanted:
            self._asked[each.agent_id] = self.now
            self.session.canaries.asked(each, self._open[each.agent_id], self.now)
        return [each.agent_id for each in wanted]

    def open_canaries(self) -> list[tuple[str, int]]:
        """Return whose canaries are open, and since when."""
        return [(each, self._asked[each]) for each in self._open]

    def end_canary(self, agent_id: str, result: Result) -> None:
        """Report how the agent's open canary ended."""
        outcome = SystemTaskOutcome(self._open.pop(agent_id), result)
        self.do(ReportSystemTasks((outcome,)))
        answer = self.session.canaries.take_answer(outcome)
        if answer is not None:
            self.session.note_canary(self.machine.agents.get(agent_id), answer, self.now)
        self._confirm()

    def canary(self, result: Result) -> int:
        """Wait for the canary of the one agent, and end it; return when it was sent."""
        while not self.ask():
            self.heartbeat_through(self.rules.interval // 4)
        sent = self.now
        if result is Result.EXPIRED:
            self.heartbeat_through(self.rules.canary_timeout)
        self.end_canary("a", result)
        return sent

    def canaries(self, results: dict[str, Result]) -> None:
        """Wait for one canary of each of these agents, and end it."""
        waiting = dict(results)
        while waiting:
            self.heartbeat_through(self.rules.interval)
            for agent_id in self.ask():
                if agent_id in waiting:
                    self.end_canary(agent_id, waiting.pop(agent_id))

    def tick(self, limit: int = 1000) -> None:
        """Handle every timer that is due, as the host does."""
        while (due := self.machine.next_due()) is not None and due <= self.now:
            self.do(Tick(limit))

    def listen(self, duration: int) -> None:
        """Let fleet time pass while the leader runs."""
        end = self.now + duration
        while self.now < end:
            self.now = min(end, self.now + max(1, self.rules.interval // 4))
            self.session.pulse(self.now)
            self.tick()

    def sleep(self, duration: int) -> None:
        """Let fleet time pass while the leader is stopped; it then wakes up with its timers first."""
        self.now += duration
        self.tick()
        self.session.pulse(self.now)

    def take_over(self) -> None:
        """Begin another leader's term on a replay of the journal, at the same fleet time."""
        self.machine = self.replayed()
        self.epoch = Epoch(self.epoch.generation, self.epoch.revision + 1 + self.seq)
        self._begin()

    def replayed(self) -> RegistryMachine:
        """Return what replaying the journal gives."""
        machine = RegistryMachine(self.rules)
        for at, events in self.journal:
            machine.tables.begin()
            for data in events:
                machine.apply(self.codec.decode_event(data), at)
        return machine

    def reloaded(self) -> RegistryMachine:
        """Return what a snapshot of the tables gives."""
        machine = RegistryMachine(self.rules)
        for name, table in self.machine.tables.tables.items():
            for row in table.values():
                machine.tables.tables[name].put(self.codec.decode_row(name, self.codec.encode_row(name, row)))
        return machine

    def row(self, agent_id: str = "a") -> AgentRow:
        return self.machine.agents[agent_id]

    def state(self, agent_id: str = "a") -> State:
        return state_of(self.row(agent_id), self.epoch)

    def view(self, agent_id: str = "a") -> AgentView:
        return view(self.row(agent_id), self.moment(), self.session)


def rows(machine: RegistryMachine) -> dict[str, list[Any]]:
    """Return the rows of every table, in an order that can be compared."""
    return {name: sorted(table.values(), key=repr) for name, table in machine.tables.tables.items()}
