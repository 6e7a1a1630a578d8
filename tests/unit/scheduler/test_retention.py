from support.scheduler_drive import Drive
from tercio_scheduler.state.commands import CancelTask
from tercio_scheduler.state.limits import Limits
from tercio_scheduler.state.rows import State


def finish(drive: Drive, *task_ids: str) -> None:
    drive.submit(*task_ids)
    drive.dispatch()
    drive.end(*task_ids)


def test_finished_tasks_are_kept_for_a_time_and_others_for_ever():
    drive = Drive(Limits(retention_ms=10_000))
    drive.submit("waiting")
    drive.pass_time(9_000)
    drive.attach()
    finish(drive, "a")
    drive.submit("later")
    drive.pass_time(9_999)
    assert "a" in drive.states()
    drive.pass_time(1)
    assert "a" not in drive.states()
    assert "later" in drive.states()


def test_no_more_finished_tasks_are_kept_than_allowed_and_the_first_to_end_go_first():
    drive = Drive(Limits(retention_count=3))
    drive.attach()
    finish(drive, "a", "b", "c", "d", "e")
    drive.settle()
    assert set(drive.states()) == {"c", "d", "e"}


def test_the_id_of_an_evicted_task_is_free_again():
    drive = Drive(Limits(retention_ms=1_000))
    drive.attach()
    finish(drive, "a")
    drive.pass_time(1_000)
    drive.submit("a", payload=b"other")
    assert drive.state("a") is State.READY


def test_an_id_that_is_used_anew_never_bears_the_name_of_an_attempt_of_before():
    drive = Drive(Limits(retention_ms=10_000))
    drive.attach()
    names = []
    for _ in range(3):
        drive.submit("a")
        drive.dispatch()
        names.append(drive.attempt("a"))
        drive.end("a")
        drive.pass_time(10_000)
        assert not drive.states()
        drive.session.renew("agent", now=drive.now)
    assert names == sorted(set(names))


def test_a_late_report_of_an_evicted_task_does_not_end_the_one_that_took_its_id():
    drive = Drive(Limits(retention_ms=20_000))
    drive.attach()
    drive.submit("a")
    drive.dispatch()
    late = drive.attempt("a")
    drive.propose(CancelTask(task_id="a"))
    drive.attach()  # the agent knows nothing of the attempt, or says so
    drive.pass_time(20_000)
    assert not drive.states()
    drive.attach()
    drive.submit("a")
    drive.dispatch()
    assert drive.report(ended=[late], results=[b"of before"]).stale == (late,)
    assert drive.state("a") is State.OFFERED
