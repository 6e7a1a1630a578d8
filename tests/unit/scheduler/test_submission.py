import pytest

from support.scheduler_drive import START_WALL, WORK, Drive
from tercio_common.errors import Refusal
from tercio_scheduler.state.commands import CancelTask
from tercio_scheduler.state.limits import Limits
from tercio_scheduler.state.rows import State, Template


def test_an_accepted_task_is_ready_and_carries_what_was_submitted():
    drive = Drive()
    drive.submit("a", template=Template(task_type="work", deadline_in_ms=5_000), payload=b"x")
    row = drive.row("a")
    assert (row.state, row.spec.payload, row.spec.submitter) == (State.READY, b"x", "tester")
    assert row.spec.accepted.wall == START_WALL
    assert row.spec.deadline == START_WALL + 5_000


def test_the_same_task_again_has_no_effect():
    drive = Drive()
    drive.submit("a", payload=b"x")
    journal = list(drive.journal)
    assert drive.submit("a", payload=b"x").known == 1
    assert drive.journal == journal


def test_the_same_id_with_other_content_is_refused():
    drive = Drive()
    drive.submit("a", payload=b"x")
    with pytest.raises(Refusal) as refused:
        drive.submit("b", "a", payload=b"y")
    assert refused.value.reason == "TASK_ID_REUSED"
    assert "b" not in drive.states()


def test_on_a_stream_each_task_is_judged_on_its_own():
    drive = Drive()
    drive.submit("known")
    drive.submit("reused", payload=b"x")
    reply = drive.submit(
        "new",
        "known",
        "reused",
        "orphan",
        "grandchild",
        after={"orphan": ["nobody"], "grandchild": ["orphan"]},
        whole=False,
    )
    assert reply.known == 1
    assert [(task.place, task.task_id, task.reason) for task in reply.refused] == [
        (2, "reused", "TASK_ID_REUSED"),
        (3, "orphan", "DEPENDENCY_UNKNOWN"),
        (4, "grandchild", "DEPENDENCY_UNKNOWN"),
    ]
    assert set(drive.states()) == {"known", "reused", "new"}


def test_validation_alone_changes_nothing():
    drive = Drive()
    drive.submit("a", validate_only=True)
    assert drive.states() == {}
    assert drive.journal == []


def test_a_deadline_in_the_past_is_refused():
    drive = Drive()
    with pytest.raises(Refusal, match="DEADLINE_PASSED"):
        drive.submit("a", template=Template(task_type="work", deadline_wall=START_WALL))


def test_a_task_that_no_connected_agent_could_run_is_refused_when_asked_for():
    drive = Drive()
    drive.attach("small", capabilities={"python": 2})
    picky = Template(task_type="work", required_capabilities=(("gpu", 1), ("python", 3)), require_capable_agent=True)
    with pytest.raises(Refusal) as refused:
        drive.submit("a", template=picky)
    assert refused.value.reason == "INSUFFICIENT_AGENT_CAPABILITY"
    assert refused.value.metadata == {"missing": "gpu:1,python:3"}
    drive.attach("big", capabilities={"python": 3, "gpu": 1})
    drive.submit("a", template=picky)
    assert drive.state("a") is State.READY


def test_a_full_queue_takes_no_new_tasks_but_knows_the_old_ones():
    drive = Drive(Limits(live_bytes=2_000))
    drive.submit("a", payload=b"x" * 1_000)
    with pytest.raises(Refusal) as refused:
        drive.submit("b", payload=b"x" * 1_000)
    assert refused.value.reason == "QUEUE_FULL"
    assert refused.value.retry_after_ms > 0
    assert drive.submit("a", payload=b"x" * 1_000).known == 1
    drive.attach()
    drive.dispatch()
    drive.end("a")
    assert drive.state("a") is State.SUCCEEDED


def test_equal_templates_of_different_frames_are_one_object():
    drive = Drive()
    drive.submit("a", template=Template(task_type="work"))
    drive.submit("b", template=Template(task_type="work"))
    assert drive.row("a").spec.template is drive.row("b").spec.template
    assert drive.row("a").spec.template == WORK


def test_what_a_template_takes_in_a_snapshot_counts_for_every_task():
    many = Template(task_type="work", labels=tuple((f"{number:0128}", "v" * 128) for number in range(16)))
    drive = Drive(Limits(live_bytes=100_000))
    drive.submit(*[f"a{number}" for number in range(20)], template=many)
    snapshot = sum(len(drive.codec.encode_row("tasks", row)) for row in drive.machine.tables.tasks.values())
    assert drive.machine.tables.index.live_bytes >= snapshot
    with pytest.raises(Refusal, match="tasks hold"):
        drive.submit(*[f"b{number}" for number in range(20)], template=many)
    drive.submit(*[f"b{number}" for number in range(20)])


def test_the_reason_of_a_cancellation_counts_as_long_as_the_task_is_kept():
    drive = Drive()
    drive.submit("a")
    before = drive.machine.tables.index.live_bytes
    drive.propose(CancelTask(task_id="a", reason="x" * 1_000))
    assert drive.machine.tables.index.live_bytes == before + 1_000
