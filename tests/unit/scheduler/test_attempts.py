from support.scheduler_drive import Drive
from tercio_common.machine.protocol import Tick
from tercio_scheduler.state.commands import CancelTask
from tercio_scheduler.state.limits import Limits
from tercio_scheduler.state.rows import State, Template

LEASE_MS = Limits().attempt_lease_ms


def offered(drive: Drive, *task_ids: str, concurrency: int = 10, **template) -> Drive:
    drive.attach(concurrency=concurrency)
    drive.session.set_credit("agent", credit=20)
    drive.submit(*task_ids, template=Template(task_type="work", **template))
    drive.dispatch()
    return drive


def test_an_agent_that_renews_keeps_its_attempts():
    drive = offered(Drive(), "a")
    for _ in range(5):
        drive.pass_time(LEASE_MS)
        drive.session.renew("agent", now=drive.now)
    assert drive.state("a") is State.OFFERED


def test_the_attempts_of_a_silent_agent_are_revoked_after_one_lease():
    drive = offered(Drive(), "a")
    drive.pass_time(LEASE_MS)
    assert drive.state("a") is State.OFFERED
    drive.pass_time(1)
    assert drive.state("a") is State.BACKOFF
    assert drive.row("a").past.errors[0].reason == "AGENT_LOST"


def test_of_a_lost_agent_only_started_attempts_and_its_oldest_ones_count():
    drive = offered(Drive(), "a", "b", "c", "d", concurrency=1)
    drive.run("c")
    drive.pass_time(LEASE_MS + 1)
    assert drive.states() == {"a": State.BACKOFF, "b": State.READY, "c": State.BACKOFF, "d": State.READY}
    assert [drive.row(task_id).past.failures for task_id in "abcd"] == [1, 0, 1, 0]


def test_which_attempts_are_the_oldest_does_not_depend_on_how_the_rows_were_loaded():
    drive = offered(Drive(), "a", "b", "c", concurrency=1)
    drive.machine = drive.from_snapshot()
    drive.take_over()
    drive.pass_time(LEASE_MS + 1)
    assert drive.states() == {"a": State.BACKOFF, "b": State.READY, "c": State.READY}


def test_a_task_that_kills_its_agents_at_once_ends_as_a_dead_letter():
    drive = Drive()
    drive.submit("poison", template=Template(task_type="work", initial_backoff_ms=0))
    for life in range(3):
        drive.attach(instance=bytes([life]))
        drive.settle()
        drive.dispatch()
    drive.attach(instance=b"last")
    assert drive.state("poison") is State.DEAD_LETTER
    assert len(drive.row("poison").past.errors) == 3


def test_a_new_leader_listens_for_a_full_lease_before_it_declares_anyone_lost():
    drive = offered(Drive(), "a")
    drive.pass_time(LEASE_MS - 10)
    drive.take_over()
    drive.pass_time(LEASE_MS)
    assert drive.state("a") is State.OFFERED
    drive.pass_time(1)
    assert drive.state("a") is State.BACKOFF


def test_a_new_leader_adopts_what_an_agent_lists_and_keeps_its_name():
    drive = offered(Drive(), "a", "b")
    names = [drive.attempt("a"), drive.attempt("b")]
    drive.take_over()
    assert drive.attach(started=names[:1], offered=names[1:]).cancel == ()
    assert drive.states() == {"a": State.RUNNING, "b": State.OFFERED}
    assert [drive.attempt("a"), drive.attempt("b")] == names
    assert drive.report(ended=names).stale == ()


def test_unlisted_attempts_go_back_and_only_started_ones_count():
    drive = offered(Drive(), "a", "b")
    drive.run("a")
    drive.attach()
    assert drive.states() == {"a": State.BACKOFF, "b": State.READY}
    assert [drive.row(task_id).past.failures for task_id in "ab"] == [1, 0]


def test_another_process_of_the_agent_loses_what_the_former_one_held():
    drive = offered(Drive(), "a", "b", concurrency=1)
    former = [drive.attempt("a"), drive.attempt("b")]
    reply = drive.attach(instance=b"second", offered=former)
    assert set(reply.cancel) == set(former)
    assert drive.states() == {"a": State.BACKOFF, "b": State.READY}


def test_an_agent_is_told_to_stop_what_is_stale_or_being_cancelled():
    drive = offered(Drive(), "a", "b")
    listed = [drive.attempt("a"), drive.attempt("b"), drive.attempt("a")._replace(task_id="unjournaled")]
    drive.propose(CancelTask(task_id="a"))
    reply = drive.attach(started=listed)
    assert set(reply.cancel) == {listed[0], listed[2]}
    assert drive.states() == {"a": State.CANCELLING, "b": State.RUNNING}


def test_a_closed_stream_changes_nothing_until_the_lease_ends():
    drive = offered(Drive(), "a")
    drive.session.detach("agent", instance_id=b"first")
    drive.pass_time(LEASE_MS)
    assert drive.state("a") is State.OFFERED


def test_a_timer_that_fails_is_set_aside_until_the_next_take_over():
    drive = offered(Drive(), "a")
    drive.run("a")
    drive.now = drive.row("a").due
    drive.session.renew("agent", now=drive.now)
    drive.machine.decide(Tick(), drive.moment(), drive.session)  # as if applying its event had failed
    assert drive.machine.set_aside_due() == "timer of task a"
    drive.settle()
    assert drive.state("a") is State.RUNNING
    drive.take_over()
    drive.settle()
    assert drive.state("a") is State.BACKOFF
