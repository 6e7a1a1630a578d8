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


def held_by_a_large_agent(count: int, *, concurrency: int) -> Drive:
    drive = Drive()
    drive.attach(concurrency=concurrency)
    drive.session.set_credit("agent", credit=count)
    for first in range(0, count, 1000):
        drive.submit(*[f"{number:05}" for number in range(first, min(first + 1000, count))])
    while drive.dispatch():
        pass
    return drive


def largest_record(drive: Drive, *, since: int) -> int:
    return max(len(event) for _, event in drive.journal[since:])


def test_a_large_agent_loses_its_attempts_in_steps_and_the_same_ones_count():
    drive = held_by_a_large_agent(3_500, concurrency=1_200)
    drive.run("03400")
    before = len(drive.journal)
    drive.pass_time(LEASE_MS + 1)
    assert largest_record(drive, since=before) < 10_000
    failures = {row.task_id: row.past.failures for row in drive.machine.tables.tasks.values()}
    assert sum(failures.values()) == 1_201
    assert all(failures[f"{number:05}"] for number in [*range(1_200), 3_400])


def test_a_new_process_of_a_large_agent_is_taken_up_in_steps():
    drive = held_by_a_large_agent(3_500, concurrency=1_200)
    before = len(drive.journal)
    replies = [drive.attach(instance=b"second")]
    while replies[-1].more:
        replies.append(drive.attach(instance=b"second"))
    assert len(replies) == 4
    assert largest_record(drive, since=before) < 10_000
    failures = {row.task_id: row.past.failures for row in drive.machine.tables.tasks.values()}
    assert [task_id for task_id, count in sorted(failures.items()) if count] == [f"{n:05}" for n in range(1_200)]


def test_an_agent_that_loses_its_attempts_is_not_given_them_again():
    drive = held_by_a_large_agent(1_500, concurrency=1)
    drive.now += LEASE_MS + 1
    drive.propose(Tick(limit=1_000))
    assert drive.dispatch() == {}
    drive.settle()
    drive.attach(concurrency=1)
    assert len(drive.dispatch()["agent"]) == 1


def test_attempts_that_run_are_adopted_in_steps():
    drive = held_by_a_large_agent(2_500, concurrency=2_500)
    names = [drive.attempt(f"{number:05}") for number in range(2_500)]
    before = len(drive.journal)
    while drive.attach(started=names).more:
        pass
    assert largest_record(drive, since=before) < 10_000
    assert set(drive.states().values()) == {State.RUNNING}


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
