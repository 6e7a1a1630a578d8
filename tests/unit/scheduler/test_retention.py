from support.scheduler_drive import Drive
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
