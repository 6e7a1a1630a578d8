"""Decisions and conflicts under random posts, claims, work, answers and take-overs.

The driver checks every invariant after each step. Here each step is interrupted: a replay and a snapshot give the same
tables; and once everybody has fallen silent, every conflict has ended or waits for people.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from support.disputes_machine import Driver, tables
from tercio_common.errors import Refusal
from tercio_common.machine.system_tasks import Result
from tercio_conflicts.state.decisions import Disagreements
from tercio_conflicts.state.dispute_commands import (
    DeleteFamily,
    EscalateConflict,
    ReportConflict,
    ResolveConflict,
    SetFamily,
    WithdrawDecision,
)
from tercio_conflicts.state.dispute_rows import ConflictState, FamilyRow
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.resolutions.protocol import Counsel
from tercio_conflicts.state.severity import Severity
from tercio_conflicts.state.situation import Work

AGENTS = st.sampled_from(["a", "b", "c"])
SCOPES = st.sampled_from(["", "x", "x/**", "y"])
CHOICES = st.sampled_from(["Use PostgreSQL", "Use MongoDB", "Avoid MongoDB", "Use Redis", "refractor", "reflector"])
FAMILY = FamilyRow("telescope", ("database",), Severity.LOW, (("refractor", (), ()), ("reflector", (), ())))


class Disputes(RuleBasedStateMachine):
    """Agents, a scheduler and operators, and a leader that may be replaced after any step."""

    def __init__(self) -> None:
        super().__init__()
        counsel = Counsel(architects=("z",), consultants=("x", "y"), timeout=20_000)
        self.driver = Driver(counsel=counsel, max_decisions=10, max_ended=3, resolution=60_000, webhook=True)

    @rule(agent=AGENTS, choice=CHOICES, scope=SCOPES, architect=st.booleans())
    def decide(self, agent: str, choice: str, scope: str, architect: bool) -> None:
        self.driver.decide(agent, "database", choice, scope, role="architect" if architect else "")
        assert len(self.driver.tables.decisions) <= 10

    @rule(agent=AGENTS)
    def withdraw(self, agent: str) -> None:
        rows = sorted(self.driver.tables.decisions.values())
        if rows:
            own = rows[0].agent_id == agent
            with contextlib.nullcontext() if own else pytest.raises(Refusal, match="is of"):
                self.driver.do(WithdrawDecision(rows[0].number, agent))

    @rule(owner=AGENTS, name=st.sampled_from(["s/a.py", "s/*.py", "t.py"]), priority=st.integers(0, 9))
    def mean_to_edit(self, owner: str, name: str, priority: int) -> None:
        self.driver.claim(owner, name, mode=Mode.INTENT, priority=priority)

    @rule(
        tasks=st.lists(
            st.tuples(st.sampled_from(["t", "u", "v"]), AGENTS, st.integers(0, 9), st.booleans()), max_size=5
        )
    )
    def work(self, tasks: list[tuple[str, str, int, bool]]) -> None:
        self.driver.work(
            *(
                Work(task, agent, priority=priority, running=running, files=("f",), waits_for=("t",))
                for task, agent, priority, running in tasks
            )
        )

    @rule(choice=CHOICES.map(len), result=st.sampled_from(Result))
    def answer(self, choice: int, result: Result) -> None:
        rows = sorted(self.driver.tables.decisions.values())
        if rows and self.driver.machine.system_tasks.table:
            self.driver.answer(rows[choice % len(rows)].number, result=result)

    @rule(done=st.booleans())
    def report_actions(self, done: bool) -> None:
        if self.driver.actions():
            self.driver.report_actions(done=done)

    @rule()
    def report(self) -> None:
        numbers = tuple(row.number for row in sorted(self.driver.tables.decisions.values())[:2])
        self.driver.do(
            ReportConflict(type="technical_disagreement", agents=("a",), severity=Severity.LOW, decisions=numbers)
        )

    @rule(by_hand=st.booleans(), prevails=st.booleans())
    def end(self, by_hand: bool, prevails: bool) -> None:
        for row in self.driver.conflicts(ConflictState.OPEN, ConflictState.RESOLVING, ConflictState.ESCALATED)[:1]:
            kept = [number for number in row.decisions if number in self.driver.tables.decisions]
            if by_hand:
                number = kept[0] if kept and prevails else 0
                self.driver.do(ResolveConflict(conflict_id=row.conflict_id, resolution="enough", prevails=number))
            else:
                self.driver.do(EscalateConflict(row.conflict_id, "look at it"))

    @rule(added=st.booleans())
    def change_families(self, added: bool) -> None:
        if added:
            self.driver.do(SetFamily(FAMILY))
        elif len(self.driver.tables.families):
            self.driver.do(DeleteFamily(FAMILY.name))

    @rule()
    def look(self) -> None:
        self.driver.look()

    @rule(duration=st.sampled_from([5_000, 20_000, 60_000]))
    def sleep(self, duration: int) -> None:
        self.driver.sleep(duration)

    @rule()
    def take_over(self) -> None:
        self.driver.take_over()

    @invariant()
    def replay_and_snapshot_give_the_same_tables(self) -> None:
        expected = tables(self.driver.machine)
        assert tables(self.driver.replayed()) == expected
        assert tables(self.driver.reloaded()) == expected

    @invariant()
    def contradictions_are_those_of_the_present_decisions(self) -> None:
        found = {(each.one.number, each.other.number) for each in self.driver.tables.disagreements.all()}
        anew = Disagreements(self.driver.tables.disagreements.comparison)
        for row in sorted(self.driver.tables.decisions.values(), reverse=True):
            anew.changed(row.number, None, row)
        assert found == {(each.one.number, each.other.number) for each in anew.all()}

    def teardown(self) -> None:
        self.driver.sleep(100_000)
        for row in self.driver.conflicts():
            assert row.state in {ConflictState.RESOLVED, ConflictState.ESCALATED}, row
        assert self.driver.actions() == []
        assert not len(self.driver.tables.consultations)


Disputes.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestDisputesMachine = Disputes.TestCase
