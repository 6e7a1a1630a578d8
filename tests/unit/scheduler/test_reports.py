import pytest

from support.scheduler_drive import Drive
from tercio_scheduler.state.columns import Failure
from tercio_scheduler.state.commands import AttemptKey, CancelTask
from tercio_scheduler.state.rows import Outcome, State, Template


@pytest.fixture
def drive():
    drive = Drive()
    drive.attach()
    drive.submit("a", "b")
    drive.dispatch()
    return drive


def test_a_result_is_recorded_with_its_run_time(drive):
    reply = drive.report(ended=[drive.attempt("a"), drive.attempt("b")], results=[b"one", b"two"])
    assert reply.stale == ()
    assert [drive.row(task_id).result for task_id in "ab"] == [b"one", b"two"]
    assert drive.states() == {"a": State.SUCCEEDED, "b": State.SUCCEEDED}


def test_the_second_result_of_an_attempt_is_stale_and_changes_nothing(drive):
    attempt = drive.attempt("a")
    drive.report(ended=[attempt], results=[b"one"])
    journal = list(drive.journal)
    assert drive.report(ended=[attempt], results=[b"two"]).stale == (attempt,)
    assert drive.row("a").result == b"one"
    assert drive.journal == journal


def test_a_result_twice_in_one_frame_is_recorded_once(drive):
    attempt = drive.attempt("a")
    drive.report(ended=[attempt, attempt], results=[b"one", b"two"])
    assert drive.row("a").result == b"one"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"number": 2}, id="another number"),
        pytest.param({"epoch": (9, 9)}, id="another epoch"),
        pytest.param({"task_id": "unknown"}, id="an unknown task"),
    ],
)
def test_reports_on_other_attempts_are_stale(drive, change):
    wrong = AttemptKey(**{**drive.attempt("a")._asdict(), **change})
    if "epoch" in change:
        wrong = wrong._replace(epoch=type(drive.epoch)(9, 9))
    assert drive.report(ended=[wrong, drive.attempt("b")]).stale == (wrong,)
    assert drive.states() == {"a": State.OFFERED, "b": State.SUCCEEDED}


def test_another_agent_or_another_process_of_it_cannot_report(drive):
    attempt = drive.attempt("a")
    assert drive.report(agent_id="other", ended=[attempt]).stale == (attempt,)
    assert drive.report(instance=b"second", ended=[attempt]).stale == (attempt,)
    assert drive.state("a") is State.OFFERED


def test_a_started_attempt_runs_and_starting_again_means_nothing(drive):
    assert drive.run("a").stale == ()
    assert drive.state("a") is State.RUNNING
    journal = list(drive.journal)
    assert drive.run("a").stale == ()
    assert drive.journal == journal


def test_started_and_ended_may_come_in_one_frame(drive):
    drive.report(started=[drive.attempt("a")], ended=[drive.attempt("a")])
    assert drive.state("a") is State.SUCCEEDED


def test_a_checkpoint_is_handed_to_the_next_attempt_even_when_its_own_frame_ends_the_attempt(drive):
    attempt = drive.attempt("a")
    drive.report(checkpoints={attempt: b"half"}, ended=[attempt], outcomes=[Outcome.FAILED])
    assert drive.row("a").past.checkpoint == b"half"
    drive.pass_time(2_000)
    drive.dispatch()
    drive.end("a")
    assert drive.row("a").past.checkpoint == b""


def test_a_failure_keeps_reason_and_message(drive):
    drive.end("a", outcome=Outcome.FAILED, failure=Failure("BROKEN_TOOL", "the saw is blunt"))
    row = drive.row("a")
    assert (row.state, row.past.failures) == (State.BACKOFF, 1)
    error = row.past.errors[0]
    assert (error.number, error.agent_id, error.reason, error.message) == (
        1,
        "agent",
        "BROKEN_TOOL",
        "the saw is blunt",
    )


def test_an_attempt_that_its_agent_stopped_unasked_counts_as_a_failure(drive):
    drive.end("a", outcome=Outcome.CANCELLED)
    assert drive.row("a").past.failures == 1


def test_a_success_while_cancelling_wins(drive):
    drive.propose(CancelTask(task_id="a"))
    assert drive.state("a") is State.CANCELLING
    drive.end("a")
    assert drive.state("a") is State.SUCCEEDED


def test_a_report_on_an_evicted_task_is_stale(drive):
    attempt = drive.attempt("a")
    drive.end("a")
    drive.pass_time(3_700_000)
    assert "a" not in drive.states()
    assert drive.report(ended=[attempt]).stale == (attempt,)


def test_reports_of_attempts_of_several_leaders_come_in_one_frame():
    drive = Drive()
    drive.attach()
    drive.submit("a", template=Template(task_type="work"))
    drive.dispatch()
    drive.take_over()
    drive.attach(offered=[drive.attempt("a")])
    drive.submit("b")
    drive.dispatch()
    assert drive.attempt("a").epoch < drive.attempt("b").epoch
    drive.report(ended=[drive.attempt("a"), drive.attempt("b")])
    assert drive.states() == {"a": State.SUCCEEDED, "b": State.SUCCEEDED}
