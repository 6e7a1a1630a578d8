"""What each detector sees, and what it does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from support.disputes_machine import FAMILIES, Driver
from tercio_conflicts.state.detectors.agents import SharedRoles, SharedTasks
from tercio_conflicts.state.detectors.catalogue import DETECTORS
from tercio_conflicts.state.detectors.compute import ComputeDemand
from tercio_conflicts.state.detectors.files import FileAccess, WorktreeAccess
from tercio_conflicts.state.detectors.priorities import CompetingPriorities, Deadlines, Inversions
from tercio_conflicts.state.detectors.protocol import Detector, Finding, conflict_id
from tercio_conflicts.state.dispute_rows import ConflictState
from tercio_conflicts.state.dispute_rules import DisputeRules
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.severity import Severity
from tercio_conflicts.state.situation import Situation, Work

WALL = 1_000_000


def found(detector: Detector, *work: Work, **fields: object) -> list[Finding]:
    return list(detector.detect(replace(Situation(work=work, wall=WALL), **fields)))  # type: ignore[arg-type]


def test_two_writers_of_one_file_are_in_contention() -> None:
    works = Work("t1", "a", files=("x", "y")), Work("t2", "b", files=("x",)), Work("t3", "a", files=("y",))
    (finding,) = found(FileAccess(), *works)
    assert (finding.agents, finding.tasks, finding.severity) == (("a", "b"), ("t1", "t2"), Severity.MEDIUM)
    assert finding.conflict_id == conflict_id("file_conflict", "x")
    assert dict(finding.context) == {"claimed": "no", "resource": "x", "type": "file_access"}


@pytest.mark.parametrize(
    ("agents", "priority", "severity"),
    [(2, 0, Severity.MEDIUM), (4, 0, Severity.HIGH), (2, 8, Severity.HIGH), (5, 9, Severity.CRITICAL)],
)
def test_a_crowd_or_an_urgent_task_is_worse(agents: int, priority: int, severity: Severity) -> None:
    works = [Work(f"t{n}", f"a{n}", files=("x",), priority=priority) for n in range(agents)]
    assert [each.severity for each in found(FileAccess(), *works)] == [severity]


def test_who_waits_is_no_writer() -> None:
    assert found(FileAccess(), Work("t1", "a", files=("x",)), Work("t2", "b", files=("x",), running=False)) == []


def test_two_agents_in_one_working_tree_are_in_contention() -> None:
    (finding,) = found(WorktreeAccess(), Work("t1", "a", worktree="/w"), Work("t2", "b", worktree="/w"))
    assert dict(finding.context)["type"] == "worktree_access"
    assert found(WorktreeAccess(), Work("t1", "a", worktree="/w"), Work("t2", "b", worktree="/v")) == []


def test_more_compute_is_asked_for_than_there_is() -> None:
    works = Work("t1", "a", amounts=(("memory", 6),)), Work("t2", "b", amounts=(("memory", 5),))
    (finding,) = found(ComputeDemand(), *works, capacities={"memory": 10})
    assert (finding.agents, finding.severity) == (("a", "b"), Severity.MEDIUM)
    assert found(ComputeDemand(), *works, capacities={"memory": 5})[0].severity is Severity.HIGH
    assert found(ComputeDemand(), *works, capacities={"memory": 11}) == []
    assert found(ComputeDemand(), works[0], capacities={"memory": 1}) == [], "one agent alone is in nobody's way"


def test_one_task_has_one_agent_and_a_unique_role_as_well() -> None:
    (finding,) = found(SharedTasks(), Work("t", "a"), Work("t", "b"), Work("u", "c"))
    assert (finding.agents, finding.tasks) == (("a", "b"), ("t",))
    architects = [Work(f"t{agent}", agent, role="architect", unique_role=True) for agent in "ab"]
    (finding,) = found(SharedRoles(), *architects)
    assert dict(finding.context)["role"] == "architect"
    assert found(SharedRoles(), *(each._replace(unique_role=False) for each in architects)) == []


@pytest.mark.parametrize(("high", "severity"), [(3, Severity.MEDIUM), (9, Severity.HIGH)])
def test_the_urgent_waits_for_what_is_not(high: int, severity: Severity) -> None:
    works = Work("h", "a", priority=high, waits_for=("l",)), Work("l", "b", priority=1)
    (finding,) = found(Inversions(), *works)
    assert (finding.severity, finding.tasks) == (severity, ("h", "l"))
    assert found(Inversions(), works[0], works[1]._replace(priority=high)) == []


def test_a_deadline_that_cannot_be_met_for_what_it_waits_for() -> None:
    before = Work("l", "b", remaining=600)
    waiting = Work("h", "a", deadline=WALL + 1_000, remaining=500, waits_for=("l",))
    (finding,) = found(Deadlines(), waiting, before)
    assert (finding.severity, dict(finding.context)["late_ms"]) == (Severity.HIGH, "100")
    assert found(Deadlines(), waiting._replace(deadline=WALL - 1), before)[0].severity is Severity.CRITICAL
    assert found(Deadlines(), waiting._replace(deadline=WALL + 1_100), before) == []
    assert found(Deadlines(), waiting._replace(waits_for=())) == [], "its own slowness is no conflict"


def test_top_priorities_compete_for_one_thing() -> None:
    works = [Work(f"t{n}", f"a{n}", priority=9, running=False, waits_for=("x",)) for n in range(2)]
    (finding,) = found(CompetingPriorities(), *works)
    assert dict(finding.context)["needed"] == "x"
    assert found(CompetingPriorities(), works[0], works[1]._replace(priority=8)) == []


def test_waiting_for_a_claim_is_a_conflict_only_after_a_while() -> None:
    driver = Driver()
    driver.claim("ada", "a.py")
    driver.wait("bert", "a.py")
    driver.look()
    assert driver.conflicts() == []
    driver.now += 5_000
    driver.look()
    assert driver.only().agents == ("ada", "bert")


def test_who_reads_what_another_one_means_to_edit_is_in_no_conflict() -> None:
    driver = Driver()
    driver.claim("ada", "a.py", mode=Mode.SHARED)
    driver.claim("bert", "a.py", mode=Mode.INTENT)
    driver.claim("carl", "b.py", mode=Mode.INTENT)
    driver.look()
    assert driver.conflicts() == []


class Guess:
    """Is not sure."""

    name = "guess"

    def __init__(self, confidence: float) -> None:
        self.confidence = confidence

    def detect(self, situation: Situation) -> Iterable[Finding]:
        yield Finding("guess_1", "agent_conflict", ("a",), Severity.LOW, self.confidence, ())


@pytest.mark.parametrize(("confidence", "raised"), [(0.79, 0), (0.8, 1)])
def test_what_is_under_the_threshold_is_not_raised(confidence: float, raised: int) -> None:
    driver = Driver(detectors=(Guess(confidence),))
    driver.attend()
    assert len(driver.conflicts()) == raised


def test_a_crowd_is_named_only_as_far_as_a_record_has_room() -> None:
    driver = Driver()
    driver.work(*(Work(f"t{n:04}", f"a{n:04}", files=("x",)) for n in range(1_000)))
    driver.look()
    row = driver.only()
    assert (len(row.agents), len(row.tasks), row.agents[0]) == (100, 100, "a0000")
    assert max(sum(map(len, events)) for _, events in driver.journal) < 100_000


def test_what_a_failing_detector_saw_before_is_not_taken_for_gone() -> None:
    class Fails(Guess):
        def detect(self, situation: Situation) -> Iterable[Finding]:
            if self.confidence == 0:
                raise RuntimeError("a bug")
            return super().detect(situation)

    detector = Fails(1)
    driver = Driver(detectors=(detector,), chains={"agent_conflict": ()})
    driver.work()
    driver.look()
    detector.confidence = 0
    assert driver.attend().failed == (("guess", "RuntimeError: a bug"),)
    assert driver.only().state is ConflictState.ESCALATED
    detector.confidence = 0.1
    driver.look()
    assert driver.only().state is ConflictState.RESOLVED


def test_the_same_situation_gives_the_same_findings() -> None:
    works = tuple(
        Work(f"t{n}", f"a{n % 7}", priority=n % 10, files=(f"{n % 5}",), waits_for=(f"t{n - 1}",)) for n in range(50)
    )
    rules = DisputeRules(families=FAMILIES)
    first, second = (
        [each for detector in rules.detectors for each in detector.detect(Situation(work=order, wall=WALL))]
        for order in (works, works)
    )
    assert first == second
    assert {each.name for each in DETECTORS} == {each.name for each in rules.detectors}
