import pytest

from support.scheduler_drive import Drive
from tercio_common.errors import Refusal
from tercio_scheduler.state.columns import Failure
from tercio_scheduler.state.commands import CancelTask, RetryTask
from tercio_scheduler.state.limits import Limits
from tercio_scheduler.state.retries import backoff_ms
from tercio_scheduler.state.rows import Outcome, State, Template

POLICY = Template(task_type="work", initial_backoff_ms=1_000, multiplier_permille=2_000, max_backoff_ms=10_000)


def test_the_wait_grows_and_stays_within_a_fifth_and_the_bound():
    for failures, ideal in ((1, 1_000), (2, 2_000), (3, 4_000)):
        assert 0.8 * ideal <= backoff_ms("a", failures=failures, template=POLICY) <= 1.2 * ideal
    assert 8_000 <= backoff_ms("a", failures=50, template=POLICY) <= 10_000


def test_waits_of_different_tasks_differ_and_are_the_same_each_time():
    waits = [backoff_ms(f"t{number}", failures=1, template=POLICY) for number in range(20)]
    assert len(set(waits)) > 10
    assert waits == [backoff_ms(f"t{number}", failures=1, template=POLICY) for number in range(20)]


def test_a_task_is_ready_again_after_its_wait_at_the_end_of_its_queue():
    drive = Drive()
    drive.attach(concurrency=1)
    drive.submit("a", template=POLICY)
    drive.dispatch()
    drive.end("a", outcome=Outcome.FAILED)
    drive.submit("b")
    assert drive.state("a") is State.BACKOFF
    drive.pass_time(1_200)
    assert drive.dispatch() == {"agent": ["b"]}


def test_a_task_that_fails_as_often_as_it_may_is_a_dead_letter_with_every_error():
    drive = Drive()
    drive.attach()
    drive.submit("a", template=Template(task_type="work", max_attempts=3, initial_backoff_ms=0))
    for number in range(3):
        drive.settle()
        drive.dispatch()
        drive.end("a", outcome=Outcome.FAILED, failure=Failure("BROKEN", f"try {number}"))
    row = drive.row("a")
    assert row.state is State.DEAD_LETTER
    assert row.why == ("BROKEN", "try 2")
    assert [error.message for error in row.past.errors] == ["try 0", "try 1", "try 2"]


def test_a_permanent_failure_is_not_tried_again():
    drive = Drive()
    drive.attach()
    drive.submit("a")
    drive.dispatch()
    drive.end("a", outcome=Outcome.FAILED, failure=Failure("BROKEN", "for good", permanent=True))
    assert drive.state("a") is State.DEAD_LETTER


def test_returned_attempts_never_count():
    drive = Drive()
    drive.attach()
    drive.submit("a", template=Template(task_type="work", max_attempts=1))
    for number in range(1, 5):
        drive.dispatch()
        assert drive.row("a").number == number
        drive.end("a", outcome=Outcome.RETURNED)
    assert drive.state("a") is State.READY


def test_a_dead_letter_gets_a_new_start_with_its_errors_but_no_failures():
    drive = Drive()
    drive.attach()
    drive.submit("a", template=Template(task_type="work", max_attempts=1))
    drive.dispatch()
    drive.end("a", outcome=Outcome.FAILED)
    row = drive.propose(RetryTask(task_id="a"))
    assert (row.state, row.past.failures, len(row.past.errors)) == (State.READY, 0, 1)
    drive.dispatch()
    assert drive.row("a").number == 2


def test_a_succeeded_or_unknown_task_cannot_be_retried():
    drive = Drive()
    drive.attach()
    drive.submit("a")
    drive.dispatch()
    drive.end("a")
    with pytest.raises(Refusal, match="TASK_STATE_CONFLICT"):
        drive.propose(RetryTask(task_id="a"))
    with pytest.raises(Refusal, match="TASK_NOT_FOUND"):
        drive.propose(RetryTask(task_id="b"))


def test_a_task_may_start_anew_when_a_parent_is_no_longer_kept_unless_it_failed_with_it():
    drive = Drive(Limits(retention_ms=10_000))
    drive.attach()
    drive.submit("good", "bad", template=Template(task_type="work", max_attempts=1))
    drive.submit("cancelled", "doomed", after={"cancelled": ["good"], "doomed": ["bad"]})
    drive.propose(CancelTask(task_id="cancelled"))
    drive.dispatch()
    drive.end("good")
    drive.end("bad", outcome=Outcome.FAILED)
    drive.settle()
    for parent in ("good", "bad"):
        drive.machine.tables.tasks.delete(parent)
    assert drive.propose(RetryTask(task_id="cancelled")).state is State.READY
    with pytest.raises(Refusal, match="bad"):
        drive.propose(RetryTask(task_id="doomed"))
