"""Drives the machine of the conflicts service through disputes, on fleet time that the test moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tercio_common.epochs import Epoch
from tercio_common.errors import Refusal
from tercio_common.machine.protocol import ElectionWon, Moment, Tick
from tercio_common.machine.system_tasks import Result, SystemTaskOutcome
from tercio_conflicts.codec import ConflictsCodec
from tercio_conflicts.families import packaged_families
from tercio_conflicts.state.commands import Acquire, Release
from tercio_conflicts.state.dispute_commands import (
    ActionOutcome,
    Attend,
    DecisionSpec,
    PostDecisions,
    ReportActions,
    ReportSystemTasks,
)
from tercio_conflicts.state.dispute_invariants import violations
from tercio_conflicts.state.dispute_rows import ActionRow, ConflictRow, ConflictState
from tercio_conflicts.state.dispute_rules import DisputeRules
from tercio_conflicts.state.disputes import Attended, Posted
from tercio_conflicts.state.machine import ConflictsMachine
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import Terms
from tercio_conflicts.state.rules import Rules
from tercio_conflicts.state.session import Session
from tercio_conflicts.state.situation import Work
from tercio_conflicts.state.things import Kind, Thing
from tercio_conflicts.state.waiting import Ticket

WALL = 1_700_000_000_000
LOOK_MS = 5_000
FAMILIES = packaged_families()


class Driver:
    """One service over several leaderships. Each step checks every invariant."""

    def __init__(self, **rules: Any) -> None:
        self.dispute_rules = DisputeRules(families=FAMILIES, **rules)
        self.rules = Rules()
        self.codec = ConflictsCodec()
        self.now, self.seq, self.epoch = 1_000, 0, Epoch(1, 10)
        self.principal = "operator"
        self.journal: list[tuple[Moment, list[bytes]]] = []
        self.machine = ConflictsMachine(self.rules, self.dispute_rules)
        self.session = Session(self.rules)
        self.do(ElectionWon())
        self.session.pulse(self.now)

    @property
    def tables(self) -> Any:
        return self.machine.tables.disputes

    def moment(self) -> Moment:
        return Moment(self.seq + 1, self.now, WALL + self.now, self.epoch, self.principal, self.seq)

    def do(self, command: Any) -> Any:
        """Decide and apply one command; return its reply."""
        at = self.moment()
        self.machine.tables.begin()
        try:
            decision = self.machine.decide(command, at, self.session)
        except Refusal:
            assert not self.machine.tables.undo
            raise
        assert not self.machine.tables.undo, "deciding changed a table"
        for event in decision.events:
            self.machine.apply(event, at)
        if decision.events:
            self.seq = at.seq
            self.journal.append((at, [self.codec.encode_event(event) for event in decision.events]))
        assert not list(violations(self.tables))
        return decision.reply

    def claim(self, owner: str, name: str, *, mode: Mode = Mode.EXCLUSIVE, priority: int = 0) -> int:
        """Claim a file, or with a star in its name a glob; return the claim, 0 when it is refused."""
        terms = Terms(priority=priority, ttl=86_400_000)
        reply = self.do(Acquire(things=(thing(name),), modes=(mode,), owners=(owner,), terms=terms))
        return int(reply.numbers[0])

    def release(self, *numbers: int) -> None:
        self.do(Release(numbers=numbers))

    def wait(self, owner: str, name: str, *, priority: int = 0) -> Ticket:
        """Let a call wait for a file."""
        command = Acquire(
            things=(thing(name),), modes=(Mode.EXCLUSIVE,), owners=(owner,), terms=Terms(priority=priority)
        )
        return self.session.waiting.enter(command, self.now)

    def post(self, *specs: DecisionSpec) -> Posted:
        reply: Posted = self.do(PostDecisions(specs))
        return reply

    def decide(self, agent: str, subject: str, choice: str, scope: str = "", **fields: Any) -> int:
        """Record one decision; return its number."""
        return self.post(DecisionSpec(agent, subject, choice, scope, **fields)).numbers[0]

    def work(self, *work: Work, capacities: Mapping[str, int] | None = None) -> None:
        """Tell what is worked on."""
        self.session.board.tell("scheduler", work, capacities or {}, now=self.now)

    def attend(self) -> Attended:
        reply: Attended = self.do(Attend())
        return reply

    def look(self) -> None:
        """Look until nothing changes any more, as the effect does."""
        for _ in range(50):
            if not self.attend().changed:
                return
        raise AssertionError("conflicts change at every look")

    def sleep(self, duration: int) -> None:
        """Let time pass, with its looks and ticks; what is worked on stays as it was told."""
        end = self.now + duration
        while self.now < end:
            self.now = min(end, self.now + LOOK_MS)
            self.session.pulse(self.now)
            work = tuple(self.session.board.work(self.now))
            self.session.board.tell("scheduler", work, self.session.board.capacities(self.now), now=self.now)
            while (due := self.machine.next_due()) is not None and due <= self.now:
                self.do(Tick())
            self.look()

    def answer(self, decision: int, *agents: str, result: Result = Result.SUCCEEDED) -> None:
        """Let agents that are asked choose a decision; without any, everybody."""
        asked = [row for row in self.machine.system_tasks.table.values() if not agents or row.agent_id in agents]
        output = b'{"decision_id": %d, "reason": "it is simpler"}' % decision
        outcomes = tuple(SystemTaskOutcome(row.system_task_id, result, output) for row in asked)
        self.do(ReportSystemTasks(outcomes))

    def actions(self) -> list[ActionRow]:
        return sorted(self.tables.actions.values())

    def report_actions(self, *, done: bool = True, message: str = "") -> None:
        """Let the scheduler tell of all actions."""
        self.do(ReportActions(tuple(ActionOutcome(row.action_id, done, message) for row in self.actions())))

    def conflicts(self, *states: ConflictState) -> list[ConflictRow]:
        rows = sorted(self.tables.conflicts.values(), key=lambda row: row.conflict_id)
        return [row for row in rows if not states or row.state in states]

    def only(self) -> ConflictRow:
        (row,) = self.conflicts()
        return row

    def replayed(self) -> ConflictsMachine:
        """Return what replaying the journal gives."""
        machine = ConflictsMachine(self.rules, self.dispute_rules)
        for at, events in self.journal:
            machine.tables.begin()
            for data in events:
                machine.apply(self.codec.decode_event(data), at)
        return machine

    def reloaded(self) -> ConflictsMachine:
        """Return what a snapshot of the tables gives."""
        machine = ConflictsMachine(self.rules, self.dispute_rules)
        for name, table in self.machine.tables.tables.items():
            for row in table.values():
                machine.tables.tables[name].put(self.codec.decode_row(name, self.codec.encode_row(name, row)))
        return machine

    def take_over(self) -> None:
        """Begin another leader's term on a replay of the journal."""
        self.machine = self.replayed()
        self.epoch = Epoch(self.epoch.generation, self.epoch.revision + 1)
        self.session = Session(self.rules)
        self.do(ElectionWon())
        self.session.pulse(self.now)


def thing(name: str) -> Thing:
    """Return a file or glob of one repository."""
    return Thing(Kind.GLOB if "*" in name else Kind.FILE, "/repository/.git", name)


def tables(machine: ConflictsMachine) -> dict[str, list[Any]]:
    """Return the rows of every table, in an order that can be compared."""
    return {name: sorted(table.values(), key=repr) for name, table in machine.tables.tables.items()}
