import pytest

from support.scheduler_drive import Drive, contents
from tercio_common.epochs import Epoch
from tercio_common.machine.outbox import OutboxAcknowledged
from tercio_scheduler import admission_codec, codec
from tercio_scheduler.frames import template_message, template_of
from tercio_scheduler.records.v1 import events_pb2 as records
from tercio_scheduler.state import events
from tercio_scheduler.state.admission_rows import AdmissionRow
from tercio_scheduler.state.commands import CancelTask
from tercio_scheduler.state.participants import RESOURCES
from tercio_scheduler.state.rows import CarriedRow, Outcome, Template

RICH = Template(
    task_type="work",
    priority=0,
    required_capabilities=(("gpu", 1), ("python", 3)),
    target_agent_id="ada",
    attempt_timeout_ms=1_500,
    deadline_in_ms=90_001,
    max_attempts=7,
    initial_backoff_ms=0,
    multiplier_permille=1_500,
    max_backoff_ms=61_000,
    require_capable_agent=True,
    labels=(("color", "red"),),
    resources=(("cpu", 5),),
    tenant="t",
    pool_labels=(("zone", "a"),),
)


def test_a_template_survives_as_a_message_with_every_field():
    assert template_of(template_message(RICH)) == RICH
    absolute = Template(task_type="work", deadline_wall=1_800_000_000_123)
    assert template_of(template_message(absolute)) == absolute


@pytest.mark.parametrize(
    "event",
    [
        events.TasksCancelled(("a", "b"), "enough"),
        events.PlanCancelAdvanced("p", "enough", ("a",), -1),
        events.TaskRetried("a", ("b",)),
        events.AttemptsOffered("agent", b"first", 4, ("a", "b"), (1, 2)),
        events.AttemptsAdopted(("a",)),
        events.AttemptsRevoked("agent", "it died", ("a",), ("b",)),
        events.AttemptsTimedOut(("a",)),
        events.BackoffsEnded(("a",)),
        events.DeadlinesPassed(("a",)),
        events.DependenciesFailed(("a",)),
        events.DependenciesMet(("a",)),
        events.TasksEvicted(("a",)),
        events.SystemTaskCarried(CarriedRow("tercio.r-1", "r-1", "registry")),
        events.SystemTasksSettled(("tercio.r-1",)),
        events.TaskPriorityRaised("a", 9),
        events.TaskPostponed("a", "b", 1_800_001),
        events.PostponementsEnded(("a",)),
        OutboxAcknowledged(("r-1",)),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_survives_as_bytes(event):
    found = codec.decode_event(codec.encode_event(event))
    assert found == event
    assert type(found) is type(event)


@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"\x9a\x06\x00"], ids=["empty", "garbage", "of the future"])
def test_bytes_that_no_version_wrote_are_refused(data):
    with pytest.raises(ValueError, match="event"):
        codec.decode_event(data)


def test_snapshot_rows_hold_everything_and_share_what_was_shared():
    drive = Drive()
    drive.attach()
    drive.submit("a", "b", "c", after={"c": ["a"]}, plan_id="p", payload=b"x")
    drive.dispatch()
    drive.report(ended=[drive.attempt("b")], outcomes=[Outcome.FAILED], checkpoints={drive.attempt("b"): b"half"})
    drive.propose(CancelTask(task_id="a", reason="enough"))
    loaded = drive.from_snapshot()
    assert contents(loaded) == contents(drive.machine)
    rows = loaded.tables.tasks
    assert rows["a"].spec.template is rows["c"].spec.template


def test_a_table_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no table"):
        codec.SchedulerCodec().encode_row("nothing", None)
    with pytest.raises(ValueError, match="no table"):
        codec.SchedulerCodec().decode_row("nothing", b"")


def test_admissions_of_old_records_were_asked_of_the_resources_service() -> None:
    row = AdmissionRow("t", Epoch(1, 2), 3, granted=True, participants=("claims", "resources"))
    assert admission_codec.row_of(admission_codec.row_record(row)) == row
    old = records.AdmissionRow(task_id="t", epoch_generation=1, epoch_revision=2, number=3)
    assert admission_codec.row_of(old).participants == (RESOURCES,)
