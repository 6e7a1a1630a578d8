import pytest

from support.scheduler_drive import START_WALL, Drive
from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Tick
from tercio_scheduler.state.commands import RetryTask
from tercio_scheduler.state.rows import Outcome, State, Template

SOON = Template(task_type="work", deadline_in_ms=5_000)


def test_a_waiting_task_fails_at_its_deadline():
    drive = Drive()
    drive.submit("a", template=SOON)
    drive.pass_time(4_999)
    assert drive.state("a") is State.READY
    drive.pass_time(1)
    assert drive.state("a") is State.FAILED
    assert drive.row("a").why.reason == "DEADLINE_PASSED"


def test_a_running_task_is_cancelled_at_its_agent_and_then_fails():
    drive = Drive()
    drive.attach()
    drive.submit("a", template=SOON)
    drive.dispatch()
    drive.run("a")
    drive.pass_time(5_000)
    assert (drive.state("a"), drive.row("a").cancel_to) == (State.CANCELLING, State.FAILED)
    drive.end("a", outcome=Outcome.CANCELLED)
    assert drive.state("a") is State.FAILED


def test_a_finished_task_has_no_deadline_any_more():
    drive = Drive()
    drive.attach()
    drive.submit("a", template=SOON)
    drive.dispatch()
    drive.end("a")
    drive.pass_time(6_000)
    assert drive.state("a") is State.SUCCEEDED


def test_a_deadline_follows_the_wall_also_when_it_runs_faster():
    drive = Drive()
    drive.submit("a", template=Template(task_type="work", deadline_wall=START_WALL + 11_000))
    while drive.state("a") is State.READY:
        due = drive.machine.next_due()
        assert due is not None
        assert due > drive.now or drive.wall >= START_WALL + 11_000
        elapsed = max(0, due - drive.now)
        drive.now += elapsed
        drive.wall += elapsed * 11 // 10
        drive.propose(Tick())
    assert START_WALL + 11_000 <= drive.wall <= START_WALL + 11_002


def test_a_relative_deadline_starts_anew_with_a_retry_and_an_absolute_one_does_not():
    drive = Drive()
    drive.submit("relative", template=SOON)
    drive.submit("absolute", template=Template(task_type="work", deadline_wall=START_WALL + 5_000))
    drive.pass_time(6_000)
    assert drive.propose(RetryTask(task_id="relative")).spec.deadline == START_WALL + 11_000
    with pytest.raises(Refusal, match="deadline"):
        drive.propose(RetryTask(task_id="absolute"))


def test_an_attempt_that_runs_too_long_counts_and_its_late_result_is_stale():
    drive = Drive()
    drive.attach()
    drive.submit("a", template=Template(task_type="work", attempt_timeout_ms=2_000))
    drive.dispatch()
    drive.pass_time(1_500)
    drive.run("a")
    drive.pass_time(1_999)
    drive.session.renew("agent", now=drive.now)
    assert drive.state("a") is State.RUNNING
    late = drive.attempt("a")
    drive.pass_time(1)
    assert drive.state("a") is State.BACKOFF
    assert drive.row("a").past.errors[0].reason == "ATTEMPT_TIMEOUT"
    assert drive.report(ended=[late]).stale == (late,)
