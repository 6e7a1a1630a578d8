"""How conflicts are found, ended, and escalated: the machine by example."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.disputes_machine import Driver
from tercio_common.errors import Refusal
from tercio_common.machine.system_tasks import Result
from tercio_conflicts.state.dispute_commands import EscalateConflict, ReportConflict, ResolveConflict, SetPrecedent
from tercio_conflicts.state.dispute_rows import ActionKind, ConflictState, Outcome, PrecedentRow, Standing
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.resolutions.chains import CHAINS, strategies
from tercio_conflicts.state.resolutions.protocol import Counsel, Rejected, planned
from tercio_conflicts.state.severity import Severity
from tercio_conflicts.state.situation import Situation, Work

MINUTE = 60_000


def disagreeing(**rules: Any) -> tuple[Driver, int, int]:
    """Return a driver with two decisions that contradict each other."""
    driver = Driver(**rules)
    one = driver.decide("ada", "database", "Use PostgreSQL", "orders")
    other = driver.decide("bert", "database", "Use MongoDB", "orders")
    driver.look()
    return driver, one, other


def tried(driver: Driver) -> list[tuple[str, str]]:
    return [(each.strategy, each.outcome.name) for each in driver.only().attempts]


def test_a_strategy_for_the_wrong_type_is_not_applicable() -> None:
    driver, *_ = disagreeing()
    conflict = driver.only()
    known = strategies(driver.tables.disagreements.comparison)
    for name in CHAINS["resource_contention"]:
        assert planned(known[name], conflict, Situation(), Counsel()) == Rejected("Strategy not applicable")


def test_without_anybody_to_ask_a_disagreement_goes_to_people() -> None:
    driver, *_ = disagreeing(webhook=True)
    row = driver.only()
    assert row.state is ConflictState.ESCALATED
    assert row.attempts[0].message == "No applicable framework patterns found"
    assert {each.outcome for each in row.attempts} == {Outcome.NOT_APPLICABLE}
    (notice,) = driver.tables.outbox.table.values()
    assert json.loads(notice.payload)["conflict_id"] == row.conflict_id


def test_an_established_pattern_decides() -> None:
    driver = Driver()
    for number, choice in enumerate(["use mysql", "use postgres"]):
        confidence = 500 + 400 * number
        precedent = PrecedentRow(f"p{number}", "database", choice, "", confidence, "", 0)
        driver.do(SetPrecedent(precedent))
    one = driver.decide("ada", "database", "Use PostgreSQL", "orders")
    other = driver.decide("bert", "database", "Use MongoDB", "orders")
    driver.look()
    row = driver.only()
    assert (row.state, row.resolved_by) == (ConflictState.RESOLVED, "established_pattern")
    assert driver.tables.decisions[one].standing is Standing.STANDING
    assert driver.tables.decisions[other].standing is Standing.OVERRULED
    assert driver.tables.decisions[other].overruled_by == row.conflict_id
    assert "p1" in row.prevention


def test_the_architects_own_decision_prevails_and_is_established() -> None:
    driver = Driver(learning=False)
    driver.decide("ada", "architecture", "use_microservices", role="architect")
    driver.decide("bert", "architecture", "use_monolith", role="engineer")
    driver.look()
    row = driver.only()
    assert (row.state, row.resolved_by) == (ConflictState.RESOLVED, "architect_authority")
    (precedent,) = driver.tables.precedents.values()
    assert precedent.choice == "use_microservices"
    driver.decide("carl", "architecture", "monolith")
    driver.look()
    assert driver.only().occurrence == 2
    assert driver.only().resolved_by == "established_pattern"


def test_an_architect_who_took_no_part_is_asked() -> None:
    driver, one, other = disagreeing(counsel=Counsel(architects=("zoe",)))
    assert driver.only().state is ConflictState.RESOLVING
    (task,) = driver.machine.system_tasks.table.values()
    asked = json.loads(task.input)
    assert (task.kind, task.agent_id) == ("tercio.decide", "zoe")
    assert [each["decision_id"] for each in asked["decisions"]] == [one, other]
    driver.answer(other)
    driver.look()
    assert driver.only().resolved_by == "architect_authority"
    assert driver.tables.decisions[one].standing is Standing.OVERRULED


@pytest.mark.parametrize("how", ["fails", "says something else", "is not asked in time"])
def test_an_architect_who_gives_no_answer_is_followed_by_consultants(how: str) -> None:
    counsel = Counsel(architects=("zoe",), consultants=("x", "y", "z"), timeout=MINUTE)
    driver, one, _ = disagreeing(counsel=counsel)
    if how == "fails":
        driver.answer(one, "zoe", result=Result.FAILED)
    elif how == "says something else":
        driver.answer(99, "zoe")
    else:
        driver.sleep(MINUTE + 5_000)
    driver.look()
    assert tried(driver)[-2:] == [("architect_authority", "FAILED"), ("research_consultation", "RUNNING")]
    driver.answer(one, "x", "z")
    driver.look()
    assert driver.only().resolved_by == "research_consultation"


def test_an_even_vote_goes_to_people() -> None:
    driver, one, other = disagreeing(counsel=Counsel(consultants=("x", "y")))
    driver.answer(one, "x")
    driver.answer(other, "y")
    driver.look()
    assert driver.only().state is ConflictState.ESCALATED


def test_two_intents_are_put_in_order() -> None:
    driver = Driver()
    first = driver.claim("ada", "src/a.py", mode=Mode.INTENT)
    second = driver.claim("bert", "src/*.py", mode=Mode.INTENT, priority=5)
    driver.look()
    row = driver.only()
    assert row.agents == ("ada", "bert")
    assert row.attempts[0].access_order == ("bert", "ada")
    yields = driver.machine.tables.claims[first].yields
    assert yields is not None
    assert yields.asked_by == "bert"
    driver.sleep(MINUTE)
    assert first not in driver.machine.tables.claims
    assert second in driver.machine.tables.claims
    assert (driver.only().state, driver.only().resolved_by) == (ConflictState.RESOLVED, "queue_access")


def test_who_waits_for_a_glob_gets_its_part_of_it() -> None:
    driver = Driver(chains={"resource_contention": ("resource_splitting", "priority_boost")})
    held = driver.claim("ada", "src/**", priority=9)
    driver.wait("bert", "src/a.py")
    driver.sleep(5_000)
    row = driver.only()
    assert tried(driver) == [("resource_splitting", "RUNNING")]
    yields = driver.machine.tables.claims[held].yields
    assert yields is not None
    assert "without src/a.py" in yields.because
    driver.sleep(MINUTE)
    assert row.conflict_id == driver.only().conflict_id
    assert driver.only().resolved_by == "resource_splitting"


def test_a_holder_is_boosted_when_nothing_else_helps() -> None:
    driver = Driver(chains={"resource_contention": ("resource_splitting", "priority_boost")})
    driver.claim("ada-attempt", "src/a.py", priority=3)
    driver.wait("bert", "src/a.py", priority=7)
    driver.work(Work("t1", "ada", priority=3, owner="ada-attempt"))
    driver.sleep(5_000)
    assert tried(driver) == [("resource_splitting", "NOT_APPLICABLE"), ("priority_boost", "RUNNING")]
    (action,) = driver.actions()
    assert (action.kind, action.task_id, action.priority) == (ActionKind.BOOST_PRIORITY, "t1", 8)


def test_unclaimed_writers_of_a_file_go_one_after_the_other() -> None:
    driver = Driver()
    driver.work(Work("t1", "ada", files=("a.py",), priority=2), Work("t2", "bert", files=("a.py",)))
    driver.look()
    (action,) = driver.actions()
    assert (action.kind, action.task_id, action.after_task_id) == (ActionKind.HOLD, "t2", "t1")
    driver.report_actions()
    driver.work(Work("t1", "ada", files=("a.py",), priority=2), Work("t2", "bert", running=False, files=("a.py",)))
    driver.look()
    assert driver.only().resolved_by == "queue_access"


def test_what_the_scheduler_refuses_is_followed_by_the_next_strategy() -> None:
    driver = Driver()
    driver.work(Work("t1", "ada"), Work("t1", "bert"))
    driver.look()
    driver.report_actions(done=False, message="no such task")
    driver.look()
    assert tried(driver) == [("single_owner", "FAILED"), ("handover", "RUNNING")]
    assert "no such task" in driver.only().attempts[0].message


def test_a_strategy_that_changes_nothing_has_failed_when_its_time_is_over() -> None:
    driver = Driver()
    low, high = Work("low", "ada", priority=1, value=1), Work("high", "bert", priority=8, waits_for=("low",), value=5)
    driver.work(low, high)
    driver.look()
    assert tried(driver) == [("timeline_analysis", "NOT_APPLICABLE"), ("business_impact", "RUNNING")]
    driver.report_actions()
    driver.sleep(20_000)
    assert tried(driver)[1:] == [("business_impact", "FAILED"), ("dependency_reordering", "RUNNING")]
    driver.work(low, high._replace(waits_for=()))
    driver.look()
    assert driver.only().resolved_by == "dependency_reordering"
    assert driver.only().prevention


def test_a_strategy_that_raises_is_noted_and_the_next_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from tercio_conflicts.state.resolutions.established_pattern import EstablishedPattern

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(EstablishedPattern, "plan", broken)
    driver, *_ = disagreeing(counsel=Counsel(architects=("zoe",)))
    assert tried(driver) == [("established_pattern", "EXCEPTION"), ("architect_authority", "RUNNING")]
    assert "a bug" in driver.only().attempts[0].message


def test_a_conflict_that_goes_on_too_long_is_escalated() -> None:
    driver, *_ = disagreeing(counsel=Counsel(consultants=("x",), timeout=3_600_000), resolution=1_800_000)
    assert driver.only().state is ConflictState.RESOLVING
    driver.sleep(1_805_000)
    row = driver.only()
    assert row.state is ConflictState.ESCALATED
    assert row.escalation is not None
    assert row.escalation.reason == "it was not resolved within 1800 s"


def test_people_are_reminded_until_their_deadline() -> None:
    driver, *_ = disagreeing(webhook=True, escalation=10 * MINUTE, reminder=4 * MINUTE)
    driver.sleep(20 * MINUTE)
    told = [json.loads(row.payload) for row in driver.tables.outbox.table.values()]
    assert sorted((each["reminder"], each["overdue"]) for each in told) == [
        (0, False),
        (1, False),
        (2, False),
        (3, True),
    ]


def test_somebody_resolves_an_escalated_conflict() -> None:
    driver, one, other = disagreeing()
    driver.do(ResolveConflict(conflict_id=driver.only().conflict_id, resolution="we know it", prevails=one))
    driver.look()
    row = driver.only()
    assert (row.state, row.resolved_by, row.resolution) == (ConflictState.RESOLVED, "by operator", "we know it")
    assert driver.tables.decisions[other].standing is Standing.OVERRULED
    with pytest.raises(Refusal, match="was resolved already") as caught:
        driver.do(EscalateConflict(row.conflict_id, "again"))
    assert caught.value.reason == "CONFLICT_STATE_CONFLICT"


def test_a_conflict_that_ends_by_itself_is_over() -> None:
    driver, _, other = disagreeing(counsel=Counsel(consultants=("x",)))
    driver.decide("bert", "database", "PostgreSQL it is", "orders")
    driver.look()
    assert other not in driver.tables.decisions
    assert driver.only().state is ConflictState.RESOLVED


def test_a_reported_conflict_ends_when_one_of_its_decisions_stands() -> None:
    driver = Driver(counsel=Counsel(consultants=("x",)))
    one = driver.decide("ada", "tone", "Write formally", "docs")
    other = driver.decide("bert", "tone", "Write as one speaks", "docs")
    driver.do(
        ReportConflict(
            type="technical_disagreement",
            agents=("ada", "bert"),
            severity=Severity.LOW,
            decisions=(one, other),
        )
    )
    driver.look()
    driver.answer(one)
    driver.look()
    row = driver.only()
    assert (row.reported_by, row.resolved_by) == ("operator", "research_consultation")
    assert driver.tables.decisions[other].standing is Standing.OVERRULED


def test_a_conflict_of_a_type_that_nobody_knows_goes_to_people() -> None:
    driver = Driver()
    driver.do(ReportConflict(type="bad_mood", agents=("ada",), severity=Severity.LOW))
    driver.look()
    assert driver.only().state is ConflictState.ESCALATED


def test_the_impact_counts_what_stands_still() -> None:
    driver = Driver()
    driver.work(
        Work("t1", "ada", files=("a.py",), deadline=1_700_000_100_000),
        Work("t2", "bert", files=("a.py",)),
        Work("t3", "carl", running=False, waits_for=("t1",)),
    )
    driver.look()
    assert driver.only().impact == (2, 2, 1, 1)


def test_everything_survives_a_take_over() -> None:
    driver, one, _ = disagreeing(counsel=Counsel(architects=("zoe",)))
    driver.take_over()
    assert driver.only().state is ConflictState.RESOLVING
    driver.answer(one)
    driver.look()
    assert driver.only().resolved_by == "architect_authority"


def test_a_new_leader_does_not_take_for_gone_what_nobody_told_it_of() -> None:
    driver = Driver()
    works = Work("t", "ada"), Work("t", "bert")
    driver.work(*works)
    driver.look()
    driver.take_over()
    driver.look()
    assert driver.only().state is ConflictState.RESOLVING
    driver.work(works[0])
    driver.look()
    assert driver.only().resolved_by == "single_owner"


def test_a_conflict_whose_reporter_stays_away_is_over_after_a_minute() -> None:
    driver = Driver()
    driver.work(Work("t", "ada"), Work("t", "bert"))
    driver.look()
    driver.take_over()
    driver.sleep(2 * MINUTE)
    assert driver.only().state is ConflictState.RESOLVED


def test_agents_that_use_more_compute_than_there_is_take_turns() -> None:
    driver = Driver()
    works = Work("t1", "ada", amounts=(("memory", 6),), priority=3), Work("t2", "bert", amounts=(("memory", 6),))
    driver.work(*works, capacities={"memory": 10})
    driver.look()
    (action,) = driver.actions()
    assert (action.kind, action.task_id) == (ActionKind.HOLD, "t2")
    driver.work(works[0], works[1]._replace(running=False), capacities={"memory": 10})
    driver.look()
    assert driver.only().resolved_by == "queue_access"


def test_two_conflicts_that_ask_at_once_ask_under_ids_of_their_own() -> None:
    driver = Driver(counsel=Counsel(architects=("zoe",)))
    for scope in ("orders", "users"):
        driver.decide("ada", "database", "Use PostgreSQL", scope)
        driver.decide("bert", "database", "Use MongoDB", scope)
    driver.look()
    assert [row.state for row in driver.conflicts()] == [ConflictState.RESOLVING] * 2
    ids = [row.system_task_id for row in driver.machine.system_tasks.table.values()]
    assert len(set(ids)) == 2
    assert all(len(each) <= 128 for each in ids)
