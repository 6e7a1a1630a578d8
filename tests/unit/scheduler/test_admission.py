"""Tasks that need resources: asked for, granted or refused, and given back exactly when their attempt is over."""

from __future__ import annotations

import pytest

from support.scheduler_drive import Drive
from tercio_scheduler.settings import SchedulerSettings
from tercio_scheduler.state.admission import key_of, owner_of, unoffered
from tercio_scheduler.state.columns import Failure
from tercio_scheduler.state.commands import (
    AttemptKey,
    CancelTask,
    RetryTask,
    RevokeUngranted,
    SettleAdmissions,
    StartAdmissions,
)
from tercio_scheduler.state.explain import explain
from tercio_scheduler.state.invariants import check
from tercio_scheduler.state.participants import RESOURCES, release_kind, released_owner
from tercio_scheduler.state.rows import Outcome, State, Template
from tercio_scheduler.state.shortages import Gap, Shortage

CPU = Template(task_type="work", resources=(("cpu", 100),))
GAP = Gap("cpu", 100, 40, "pool", most=90)


@pytest.fixture
def drive() -> Drive:
    drive = Drive()
    drive.attach(concurrency=4)
    return drive


def start(drive: Drive) -> list[AttemptKey]:
    return list(drive.propose(StartAdmissions()).keys)


def grant(drive: Drive) -> list[AttemptKey]:
    keys = start(drive)
    drive.propose(SettleAdmissions(granted=tuple(keys)))
    return keys


def owed(drive: Drive) -> list[AttemptKey]:
    drive.settle()
    assert check(drive.machine) == []
    return [
        key_of(released_owner(row.entry_id))
        for row in drive.machine.outbox.pending(release_kind(RESOURCES), committed=drive.seq)
    ]


def test_a_task_without_needs_is_never_asked_for(drive: Drive) -> None:
    drive.submit("plain")
    assert drive.state("plain") is State.READY
    assert start(drive) == []


def test_an_attempt_is_offered_under_the_name_that_holds_the_grant(drive: Drive) -> None:
    drive.submit("t", template=CPU)
    assert drive.state("t") is State.ADMITTING
    (key,) = start(drive)
    assert drive.dispatch() == {}
    drive.propose(SettleAdmissions(granted=(key,)))
    assert drive.dispatch() == {"agent": ["t"]}
    assert drive.attempt("t") == key
    drive.end("t")
    assert owed(drive) == [key]


def test_the_release_that_is_owed_names_the_agent_that_had_the_attempt(drive: Drive) -> None:
    drive.submit("t", template=CPU)
    drive.propose(SettleAdmissions(given_up=(start(drive)[0],)))
    grant(drive)
    drive.dispatch()
    drive.end("t", outcome=Outcome.FAILED, failure=Failure("BROKEN", "it broke"))
    assert len(owed(drive)) == 2
    pending = drive.machine.outbox.pending(release_kind(RESOURCES), committed=drive.seq)
    assert [row.payload for row in pending] == [b"", b"agent"], "the first attempt was offered to nobody"
    drive.pass_time(60_000)
    drive.attach(concurrency=4)
    drive.propose(SettleAdmissions(given_up=(start(drive)[0],)))
    *_, last = drive.machine.outbox.pending(release_kind(RESOURCES), committed=drive.seq)
    assert last.payload == b"", "what an earlier attempt had is not what this one had"


def test_a_cost_limit_is_explained_and_tried_again_only_when_limits_changed(drive: Drive) -> None:
    drive.submit("t", template=CPU)
    (first,) = start(drive)
    gap = Gap("cost", 70, 50, "tenant", most=50)
    drive.session.shortages.note(CPU.needs, Shortage("COST_LIMIT_REACHED", (gap,), drive.now, 7))
    drive.propose(SettleAdmissions(refused=(first,)))
    drive.session.shortages.changed(RESOURCES, 8)
    assert start(drive) == [], "what others give back helps nobody who may not spend"
    shortage = drive.session.shortages.of(CPU.needs)
    assert shortage is not None
    assert (shortage.reason, shortage.is_of_cost) == ("COST_LIMIT_REACHED", True)
    explanation = explain(drive.machine.tables, drive.session, "t", drive.moment())
    assert explanation.summary == (
        "It waits until a cost limit is raised: the tenant has cost 70 of 50 millionths of the currency."
    )
    assert "tercio costs limit" in explanation.remedies[0]
    assert explanation.gaps == (gap,)
    drive.session.shortages.changed(RESOURCES, 9, limits=True)
    assert start(drive)


def test_a_cost_limit_is_tried_again_after_a_while_in_any_case(drive: Drive) -> None:
    drive.submit("t", template=CPU)
    (key,) = start(drive)
    drive.session.shortages.note(CPU.needs, Shortage("COST_LIMIT_REACHED", (), drive.now, 7))
    drive.propose(SettleAdmissions(refused=(key,)))
    drive.pass_time(10_000)
    drive.session.renew("agent", now=drive.now)
    assert start(drive)


def test_no_more_is_asked_for_than_agents_have_room_for(drive: Drive) -> None:
    drive.submit(*(f"t{number}" for number in range(9)), template=CPU)
    assert [key.task_id for key in start(drive)] == ["t0", "t1", "t2", "t3"]
    assert start(drive) == []


def test_a_refused_task_waits_for_a_change_after_the_refusal(drive: Drive) -> None:
    drive.submit("t", template=CPU)
    (first,) = start(drive)
    drive.session.shortages.note(CPU.needs, Shortage("INSUFFICIENT_RESOURCES", (GAP,), drive.now, 7))
    drive.propose(SettleAdmissions(refused=(first,)))
    drive.session.shortages.changed(RESOURCES, 7)
    assert start(drive) == []
    explanation = explain(drive.machine.tables, drive.session, "t", drive.moment())
    assert explanation.gaps == (GAP,)
    assert "100 of cpu, 40 free and never more than 90" in explanation.summary
    drive.session.shortages.changed(RESOURCES, 8)
    (second,) = start(drive)
    assert second > first
    assert owed(drive) == []


def test_a_change_that_came_before_the_refusal_was_heard_is_not_missed(drive: Drive) -> None:
    drive.submit("t", template=CPU)
    (key,) = start(drive)
    drive.session.shortages.changed(RESOURCES, 8)
    drive.session.shortages.note(CPU.needs, Shortage("INSUFFICIENT_RESOURCES", (GAP,), drive.now, 7))
    drive.propose(SettleAdmissions(refused=(key,)))
    assert start(drive)


def test_after_a_while_a_refused_task_is_tried_in_any_case(drive: Drive) -> None:
    drive.submit("t", template=CPU)
    (key,) = start(drive)
    drive.session.shortages.note(CPU.needs, Shortage("INSUFFICIENT_RESOURCES", (GAP,), drive.now, 7))
    drive.propose(SettleAdmissions(refused=(key,)))
    drive.pass_time(10_000)
    drive.session.renew("agent", now=drive.now)
    assert start(drive)


def test_an_answer_that_is_lost_gives_the_attempt_up_and_owes_its_release(drive: Drive) -> None:
    drive.submit("t", template=CPU)
    (key,) = start(drive)
    drive.propose(SettleAdmissions(given_up=(key,)))
    assert owed(drive) == [key]
    drive.propose(SettleAdmissions(granted=(key,)))  # it comes after all
    assert drive.state("t") is State.ADMITTING
    assert start(drive) != [key]


@pytest.mark.parametrize("granted", [pytest.param(True, id="granted"), pytest.param(False, id="asked for")])
def test_a_new_leader_gives_up_what_was_not_offered(drive: Drive, *, granted: bool) -> None:
    drive.submit("t", template=CPU)
    (key,) = grant(drive) if granted else start(drive)
    drive.take_over()
    assert owed(drive) == [key]
    assert drive.state("t") is State.ADMITTING
    drive.attach()
    (other,) = start(drive)
    assert other.epoch > key.epoch


def test_a_new_leader_keeps_what_an_agent_holds(drive: Drive) -> None:
    drive.submit("t", template=CPU)
    (key,) = grant(drive)
    drive.dispatch()
    drive.run("t")
    drive.take_over()
    drive.attach(started=[key])
    assert owed(drive) == []
    assert drive.state("t") is State.RUNNING


@pytest.mark.parametrize("again", [pytest.param(False, id="cancelled"), pytest.param(True, id="and retried")])
def test_a_task_that_is_cancelled_while_its_grant_waits_gives_it_back(drive: Drive, *, again: bool) -> None:
    drive.submit("t", template=CPU)
    (key,) = grant(drive)
    drive.propose(CancelTask(task_id="t"))
    if again:
        drive.propose(RetryTask(task_id="t"))
    assert owed(drive) == [key]
    assert key not in start(drive)


def test_attempts_whose_grants_are_gone_are_revoked_and_those_that_began_count(drive: Drive) -> None:
    drive.submit("runs", "waits", template=CPU)
    keys = grant(drive)
    drive.dispatch()
    drive.run("runs")
    drive.propose(RevokeUngranted(tuple(keys)))
    assert drive.states() == {"runs": State.BACKOFF, "waits": State.ADMITTING}
    assert sorted(owed(drive)) == sorted(keys)
    drive.propose(RevokeUngranted(tuple(keys)))
    assert drive.row("runs").past.failures == 1


def test_what_nobody_can_be_offered_is_given_back(drive: Drive) -> None:
    drive.submit("t", template=CPU)
    (key,) = grant(drive)
    granted = drive.now
    drive.pass_time(1)
    assert not list(unoffered(drive.machine.tables, granted_before=granted))
    (idle,) = unoffered(drive.machine.tables, granted_before=drive.now)
    drive.propose(RevokeUngranted((idle,)))
    assert drive.state("t") is State.ADMITTING
    assert owed(drive) == [key] == [idle]


def test_a_returned_attempt_is_admitted_anew(drive: Drive) -> None:
    drive.submit("t", template=CPU)
    (key,) = grant(drive)
    drive.dispatch()
    drive.end("t", outcome=Outcome.RETURNED)
    assert owed(drive) == [key]
    (other,) = start(drive)
    assert other > key


def test_attempts_with_resources_outlive_the_lease_of_plain_ones(drive: Drive) -> None:
    drive.submit("plain")
    drive.submit("t", template=CPU)
    grant(drive)
    drive.dispatch()
    drive.pass_time(16_500)
    assert drive.state("plain") is not State.OFFERED
    assert drive.state("t") is State.OFFERED
    drive.pass_time(30_000)
    assert drive.state("t") is not State.OFFERED


def test_owners_name_their_attempts(drive: Drive) -> None:
    drive.submit("a/b:c", template=CPU)
    (key,) = start(drive)
    assert key_of(owner_of(key)) == key


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"granted_lease_ms": 50_000}, id="longer than what it holds"),
        pytest.param({"grant_renewal_ms": 6_000}, id="renewed too seldom"),
    ],
)
def test_leases_that_could_outlive_their_grants_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="owner_ttl_ms"):
        SchedulerSettings(**wrong)


def test_what_waits_for_a_busy_agent_keeps_no_other_one_idle() -> None:
    drive, expert = Drive(), (("python", 90),)
    drive.attach("expert", concurrency=1, capabilities={"python": 90})
    drive.attach("novice", concurrency=1)
    drive.submit("hard", template=Template(task_type="work", resources=(("cpu", 100),), required_capabilities=expert))
    assert [key.task_id for key in start(drive)] == ["hard"]
    drive.submit("plain", template=Template(task_type="work", required_capabilities=expert))
    assert drive.dispatch() == {"expert": ["plain"]}
    drive.submit("easy", template=CPU)
    assert [key.task_id for key in start(drive)] == ["easy"]
