from itertools import pairwise

import pytest

from support.scheduler_drive import Drive, contents
from support.steps import counted_steps
from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Tick
from tercio_scheduler.records.v1 import events_pb2
from tercio_scheduler.state.commands import CancelTask, RetryTask
from tercio_scheduler.state.invariants import check
from tercio_scheduler.state.rows import Outcome, State, Template


def test_a_task_waits_until_every_parent_succeeded():
    drive = Drive()
    drive.submit("a", "b", "c", after={"c": ["a", "b"]})
    drive.attach()
    assert drive.dispatch() == {"agent": ["a", "b"]}
    drive.end("a")
    assert drive.row("c").waiting_for == ("b",)
    assert drive.dispatch() == {}
    drive.end("b")
    assert drive.dispatch() == {"agent": ["c"]}


def test_a_parent_may_be_known_already_and_even_finished():
    drive = Drive()
    drive.attach()
    drive.submit("a")
    drive.dispatch()
    drive.end("a")
    drive.submit("b", after={"b": ["a"]})
    assert drive.state("b") is State.READY


def test_children_become_ready_in_the_order_of_their_acceptance():
    drive = Drive()
    drive.submit("parent")
    drive.submit("z", "a", "m", after={"z": ["parent"], "a": ["parent"], "m": ["parent"]})
    drive.attach()
    drive.dispatch()
    drive.end("parent")
    assert drive.dispatch() == {"agent": ["z", "a", "m"]}


def test_what_the_end_of_a_parent_costs_does_not_grow_with_the_number_of_parents():
    def steps_of_one_end(parents: int) -> int:
        drive = Drive()
        names = [f"p{number}" for number in range(parents)]
        drive.submit(*names, "child", after={"child": names})
        drive.attach(concurrency=parents)
        drive.dispatch(limit=parents)
        with counted_steps() as steps:
            drive.end(names[0])
        assert drive.row("child").waiting_for == tuple(names[1:])
        return steps.total

    assert steps_of_one_end(2000) < 1.1 * steps_of_one_end(20)


def with_many_children(count: int = 2_500) -> tuple[Drive, list[str]]:
    """Return a scheduler with that many tasks that wait for one, which runs."""
    drive = Drive()
    names = [f"c{number}" for number in range(count)]
    drive.submit("root")
    for first in range(0, count, 1000):
        drive.submit(*(some := names[first : first + 1000]), after={name: ["root"] for name in some})
    drive.attach(concurrency=count)
    drive.dispatch()
    return drive, names


def changed_rows(drive: Drive) -> int:
    return len(drive.machine.tables.undo)


def test_many_children_become_ready_in_steps_and_in_the_order_of_their_acceptance():
    drive, names = with_many_children()
    drive.end("root")
    most = changed_rows(drive)
    while (due := drive.machine.next_due()) is not None and due <= drive.now:
        assert check(drive.machine) == []
        assert contents(drive.from_snapshot()) == contents(drive.machine)
        drive.propose(Tick())
        most = max(most, changed_rows(drive))
    assert most <= 1_000
    assert contents(drive.replayed()) == contents(drive.machine)
    assert [task_id for _ in range(3) for task_id in drive.dispatch()["agent"]] == names


def test_a_parent_is_kept_until_all_its_children_are_released():
    drive, names = with_many_children()
    drive.end("root")
    drive.pass_time(drive.limits.retention_ms + 1)
    assert drive.states() == dict.fromkeys(names, State.READY)


def test_a_child_of_two_is_blamed_on_the_parent_that_did_not_succeed():
    drive, names = with_many_children()
    drive.submit("other")
    drive.submit("child", after={"child": ["root", "other"]})
    drive.end("root")
    drive.propose(CancelTask(task_id="other"))
    drive.settle()
    assert drive.row("child").why.message == "other did not succeed"
    assert {drive.state(name) for name in names} == {State.READY}


def test_a_record_of_a_version_that_knew_no_steps_releases_all_children():
    drive, names = with_many_children()
    drive.end("root")
    at, data = drive.journal.pop()
    event = events_pb2.Event.FromString(data)
    event.work_frame_applied.ClearField("most_released")
    drive.journal.append((at, event.SerializeToString()))
    rows = drive.replayed().tables.tasks
    assert {rows[name].state for name in names} == {State.READY}


def test_a_cycle_is_refused_by_its_name():
    drive = Drive()
    with pytest.raises(Refusal) as refused:
        drive.submit("x", "a", "b", "c", after={"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]})
    assert refused.value.reason == "DEPENDENCY_CYCLE"
    assert refused.value.metadata["cycle"] == "a → b → c → a"
    assert "a → b → c → a" in refused.value.message


def test_on_a_stream_a_cycle_and_its_descendants_are_refused_and_the_rest_is_accepted():
    drive = Drive()
    reply = drive.submit("x", "a", "b", "ok", after={"x": ["a"], "a": ["b"], "b": ["a"]}, whole=False)
    assert {task.task_id: task.reason for task in reply.refused} == {
        "x": "DEPENDENCY_UNKNOWN",
        "a": "DEPENDENCY_CYCLE",
        "b": "DEPENDENCY_CYCLE",
    }
    assert set(drive.states()) == {"ok"}


def test_a_thousand_tasks_in_a_row_are_no_cycle():
    drive = Drive()
    names = [f"t{number}" for number in range(1000)]
    drive.submit(*names, after={child: [parent] for parent, child in pairwise(names)})
    assert list(drive.states().values()).count(State.BLOCKED) == 999


def test_descendants_of_a_task_that_did_not_succeed_fail_with_it():
    drive = Drive()
    drive.submit("a", "b", "c", after={"b": ["a"], "c": ["b"]})
    drive.propose(CancelTask(task_id="a"))
    drive.settle()
    assert drive.states() == {"a": State.CANCELLED, "b": State.FAILED, "c": State.FAILED}
    assert drive.row("b").why.reason == "DEPENDENCY_FAILED"
    assert drive.row("c").why.message == "b did not succeed"


def test_many_descendants_fail_in_steps():
    drive = Drive()
    names = [f"t{number}" for number in range(9)]
    drive.submit("root", *names, after={name: ["root"] for name in names})
    drive.propose(CancelTask(task_id="root"))
    failed = []
    while drive.machine.next_due() is not None and len(failed) < 9:
        drive.propose(Tick(limit=4))
        failed.append(sum(state is State.FAILED for state in drive.states().values()))
        if failed[-1] == 9:
            break
    assert failed == [4, 8, 9]


def test_a_child_of_a_dead_letter_fails_although_it_came_later():
    drive = Drive()
    drive.attach()
    drive.submit("a", template=Template(task_type="work", max_attempts=1))
    drive.dispatch()
    drive.end("a", outcome=Outcome.FAILED)
    drive.submit("b", after={"b": ["a"]})
    drive.settle()
    assert drive.state("b") is State.FAILED


def test_a_failed_child_is_retried_after_its_parent():
    drive = Drive()
    drive.attach()
    drive.submit("a", "b", after={"b": ["a"]})
    drive.propose(CancelTask(task_id="a"))
    drive.settle()
    with pytest.raises(Refusal, match="retry that one first"):
        drive.propose(RetryTask(task_id="b"))
    drive.propose(RetryTask(task_id="a"))
    drive.propose(RetryTask(task_id="b"))
    assert drive.states() == {"a": State.READY, "b": State.BLOCKED}
    drive.dispatch()
    drive.end("a")
    assert drive.state("b") is State.READY


def test_a_parent_that_is_retried_in_time_keeps_its_children():
    drive = Drive()
    drive.submit("a", "b", after={"b": ["a"]})
    drive.propose(CancelTask(task_id="a"))
    drive.propose(RetryTask(task_id="a"))
    drive.settle()
    assert drive.state("b") is State.BLOCKED


def test_a_child_that_cannot_fail_is_set_aside_and_its_siblings_fail():
    drive = Drive()
    drive.submit("parent", "poison", "sibling", after={"poison": ["parent"], "sibling": ["parent"]})
    drive.propose(CancelTask(task_id="parent"))
    drive.machine.decide(Tick(limit=1), drive.moment(), drive.session)  # as if applying its event had failed
    assert "poison" in drive.machine.set_aside_due()
    drive.settle()
    assert drive.states() == {"parent": State.CANCELLED, "poison": State.BLOCKED, "sibling": State.FAILED}
