"""A seeded mix of conflicts in a world where the scheduler, agents and holders answer mostly: how many are resolved."""

from __future__ import annotations

import random
import sys
from collections import Counter

import pytest

from support.disputes_machine import WALL, Driver
from tercio_common.machine.system_tasks import Result
from tercio_conflicts.state.dispute_rows import ActionKind, ConflictState
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.resolutions.protocol import Counsel
from tercio_conflicts.state.situation import Work

LEAST_RATE = 0.95
ANSWERS = 0.9
"""Part of the agents and of the scheduler's actions that do what they are asked."""
ROUNDS = 60
SEED = 20_261_201
CHOICES = ("PostgreSQL", "MongoDB", "MySQL", "DynamoDB")


class World:
    """Raises a conflict of a sort, and answers for everybody but the service."""

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)
        self.driver = Driver(counsel=Counsel(architects=("zoe",), consultants=("x", "y", "z"), timeout=60_000))
        self.work: dict[tuple[str, str], Work] = {}

    def contention(self, number: int) -> None:
        for owner in (f"a{number}", f"b{number}"):
            mode, priority = Mode.INTENT, self.source.randint(0, 9)
            self.driver.claim(owner, f"src/{number}/*.py", mode=mode, priority=priority)

    def unclaimed(self, number: int) -> None:
        self.add(Work(f"u{number}", f"a{number}", files=(f"{number}.py",), priority=1))
        self.add(Work(f"v{number}", f"b{number}", files=(f"{number}.py",)))

    def disagreement(self, number: int) -> None:
        for agent, choice in zip("ab", self.source.sample(CHOICES, 2), strict=True):
            self.driver.decide(f"{agent}{number}", "database", f"Use {choice}", f"service{number}")

    def duplicate(self, number: int) -> None:
        for agent in "ab":
            self.add(Work(f"d{number}", f"{agent}{number}", remaining=self.source.randint(0, 9)))

    def inversion(self, number: int) -> None:
        low, high = f"l{number}", f"h{number}"
        self.add(Work(low, f"a{number}", priority=1, remaining=1_000))
        deadline = WALL + self.driver.now + 3_600_000 if self.source.random() < 0.5 else 0
        self.add(Work(high, f"b{number}", priority=8, waits_for=(low,), value=5, running=False, deadline=deadline))

    def add(self, work: Work) -> None:
        self.work[work.task_id, work.agent_id] = work

    def turn(self) -> None:
        """Let everybody answer, and time pass."""
        self.driver.work(*self.work.values())
        self.driver.look()
        for action in self.driver.actions():
            if self.source.random() < ANSWERS:
                self.carry_out(action.kind, (action.task_id, action.agent_id), action.after_task_id, action.priority)
        self.driver.report_actions()
        for task in list(self.driver.machine.system_tasks.table.values()):
            row = self.driver.tables.consultations.get(task.system_task_id)
            if row is not None:
                decisions = self.driver.tables.conflicts[row.conflict_id].decisions
                answers = self.source.random() < ANSWERS
                result = Result.SUCCEEDED if answers else Result.FAILED
                self.answer(task.system_task_id, min(decisions), result)
        self.driver.work(*self.work.values())
        self.driver.sleep(5_000)

    def answer(self, system_task_id: str, decision: int, result: Result) -> None:
        agent = self.driver.machine.system_tasks.table.get(system_task_id)
        if agent is not None:
            self.driver.answer(decision, agent.agent_id, result=result)

    def carry_out(self, kind: ActionKind, key: tuple[str, str], after: str, priority: int) -> None:
        work = self.work.get(key)
        if work is None:
            return
        match kind:
            case ActionKind.BOOST_PRIORITY:
                self.work[key] = work._replace(priority=max(priority, work.priority))
            case ActionKind.HOLD:
                self.work[key] = work._replace(running=False)
            case ActionKind.REVOKE:
                del self.work[key]
            case ActionKind.REORDER:
                for other_key, other in list(self.work.items()):
                    if other.task_id == after:
                        waits = tuple(each for each in other.waits_for if each != work.task_id)
                        self.work[other_key] = other._replace(waits_for=waits)


@pytest.mark.timeout(120)
def test_more_than_19_of_20_conflicts_are_resolved_without_people(capsys: pytest.CaptureFixture[str]) -> None:
    world = World(SEED)
    sorts = (world.contention, world.unclaimed, world.disagreement, world.duplicate, world.inversion)
    for number in range(ROUNDS):
        for sort in sorts:
            sort(number)
        world.turn()
    for _ in range(40):
        world.turn()
    rows = world.driver.conflicts()
    resolved = [row for row in rows if row.state is ConflictState.RESOLVED and row.resolved_by != "by itself"]
    ended = Counter(row.type for row in resolved)
    total = Counter(row.type for row in rows)
    rates = {each: ended[each] / total[each] for each in sorted(total)}
    shown = ", ".join(f"{each} {rate:.3f} of {total[each]}" for each, rate in rates.items())
    with capsys.disabled():
        sys.stdout.write(f"\nresolved by strategies: {shown}; all {len(resolved) / len(rows):.3f} of {len(rows)}\n")
    assert len(rows) >= 5 * ROUNDS
    assert len(resolved) / len(rows) > LEAST_RATE
    assert min(rates.values()) > 0.9
