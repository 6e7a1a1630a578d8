import pytest

from support.scheduler_drive import Drive
from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Tick
from tercio_scheduler.state import plans
from tercio_scheduler.state.commands import CancelPlan, RetryTask
from tercio_scheduler.state.rows import Outcome, State, Template
from tercio_scheduler.state.views import get_plan, list_plans, plan_state, tasks_of_plan


@pytest.fixture
def drive():
    drive = Drive()
    drive.attach()
    drive.submit("a", "b", "c", after={"c": ["a"]}, plan_id="p")
    return drive


def plan(drive: Drive):
    return get_plan(drive.machine.tables, "p")


def test_a_plan_counts_its_tasks_to_its_end(drive):
    assert (plan_state(plan(drive)), plan(drive).task_ids) == ("RUNNING", ("a", "b", "c"))
    drive.dispatch()
    drive.end("a", "b")
    drive.dispatch()
    drive.end("c")
    assert (plan(drive).succeeded, plan(drive).failed, plan(drive).ended_wall) == (3, 0, drive.wall)
    assert plan_state(plan(drive)) == "SUCCEEDED"


def test_a_plan_with_a_dead_letter_failed_and_runs_again_when_that_is_retried():
    drive = Drive()
    drive.attach()
    drive.submit("a", template=Template(task_type="work", max_attempts=1), plan_id="p")
    drive.dispatch()
    drive.end("a", outcome=Outcome.FAILED)
    assert plan_state(plan(drive)) == "FAILED"
    drive.propose(RetryTask(task_id="a"))
    assert plan_state(plan(drive)) == "RUNNING"
    assert plan(drive).failed == 0


def test_the_same_plan_again_has_no_effect_and_another_with_its_id_is_refused(drive):
    journal = list(drive.journal)
    reply = drive.submit("a", "b", "c", after={"c": ["a"]}, plan_id="p")
    assert (reply.known, reply.plan) == (3, plan(drive))
    assert drive.journal == journal
    for other in (("a", "b"), ("x",)):
        with pytest.raises(Refusal, match="PLAN_ID_REUSED"):
            drive.submit(*other, plan_id="p")


def test_a_plan_is_all_or_nothing_also_on_a_stream(drive):
    with pytest.raises(Refusal, match="DEPENDENCY_UNKNOWN"):
        drive.submit("x", "y", after={"y": ["nobody"]}, plan_id="q", whole=False)
    assert "x" not in drive.states()


def test_cancelling_a_plan_cancels_what_has_not_ended(drive):
    drive.dispatch()
    drive.end("a")
    reply = drive.propose(CancelPlan(plan_id="p", reason="enough"))
    assert drive.states() == {"a": State.SUCCEEDED, "b": State.CANCELLING, "c": State.CANCELLED}
    assert reply == plan(drive)
    drive.end("b", outcome=Outcome.CANCELLED)
    assert plan_state(plan(drive)) == "FAILED"
    with pytest.raises(Refusal, match="PLAN_NOT_FOUND"):
        drive.propose(CancelPlan(plan_id="q"))


def test_a_large_plan_is_cancelled_in_steps(monkeypatch):
    monkeypatch.setattr(plans, "CANCEL_STEP", 2)
    drive = Drive()
    drive.submit("a", "b", "c", "d", "e", plan_id="p")
    drive.propose(CancelPlan(plan_id="p", reason="enough"))
    assert list(drive.states().values()).count(State.CANCELLED) == 2
    assert plan(drive).cancel_next == 2
    drive.settle()
    assert set(drive.states().values()) == {State.CANCELLED}
    assert plan(drive).cancel_next == -1


def test_plans_are_listed_by_id_and_show_their_tasks_in_order(drive):
    drive.submit("x", plan_id="m")
    drive.submit("y", plan_id="z")
    page = list_plans(drive.machine.tables, limit=2)
    assert [row.plan_id for row in page.rows] == ["m", "p"]
    assert [row.plan_id for row in list_plans(drive.machine.tables, after=page.next_id).rows] == ["z"]
    assert [row.task_id for row in tasks_of_plan(drive.machine.tables, plan(drive))] == ["a", "b", "c"]


def test_a_plan_goes_with_its_last_task(drive):
    drive.propose(CancelPlan(plan_id="p"))
    drive.pass_time(3_600_000)
    with pytest.raises(Refusal, match="PLAN_NOT_FOUND"):
        plan(drive)


def test_a_plan_that_cannot_be_cancelled_is_set_aside_also_when_undoing_changed_the_order():
    drive = Drive()
    for plan_id in ("p1", "p2"):
        drive.submit(*[f"{plan_id}-{number}" for number in range(1_001)], plan_id=plan_id)
        drive.propose(CancelPlan(plan_id=plan_id))
    drive.machine.decide(Tick(limit=1), drive.moment(), drive.session)  # as if applying its event had failed
    cancelling = drive.machine.tables.plan_index.cancelling
    cancelling["p1"] = cancelling.pop("p1")
    assert drive.machine.set_aside_due() == "cancellation of plan p1"
    drive.settle()
    assert drive.machine.tables.plans["p1"].cancel_next > 0
    assert drive.machine.tables.plans["p2"].cancel_next == -1
