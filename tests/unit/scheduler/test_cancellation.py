import pytest

from support.scheduler_drive import Drive
from tercio_common.errors import Refusal
from tercio_scheduler.state.commands import CancelTask
from tercio_scheduler.state.rows import Outcome, State, Template


def cancel(drive: Drive, task_id: str) -> State:
    return drive.propose(CancelTask(task_id=task_id, reason="changed my mind")).state


@pytest.fixture
def drive():
    drive = Drive()
    drive.attach()
    return drive


def test_a_task_that_no_agent_holds_is_cancelled_at_once(drive):
    drive.submit("ready", "blocked", "waiting", after={"blocked": ["ready"]})
    drive.dispatch()
    drive.end("ready", outcome=Outcome.RETURNED)
    drive.end("waiting", outcome=Outcome.FAILED)
    assert drive.states() == {"ready": State.READY, "blocked": State.BLOCKED, "waiting": State.BACKOFF}
    assert {cancel(drive, task_id) for task_id in ("blocked", "waiting", "ready")} == {State.CANCELLED}
    assert set(drive.states().values()) == {State.CANCELLED}
    assert drive.row("ready").why == ("CANCELLED", "changed my mind")


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.FAILED, Outcome.RETURNED])
def test_an_attempt_is_cancelled_on_the_agents_word(drive, outcome):
    drive.submit("a")
    drive.dispatch()
    assert cancel(drive, "a") is State.CANCELLING
    drive.end("a", outcome=outcome)
    assert drive.state("a") is State.CANCELLED
    assert drive.row("a").past.failures == 0


def test_a_cancelled_attempt_of_a_lost_agent_ends_with_its_lease(drive):
    drive.submit("a")
    drive.dispatch()
    cancel(drive, "a")
    drive.pass_time(15_001)
    assert drive.state("a") is State.CANCELLED


def test_an_agent_that_renews_but_never_answers_does_not_hold_the_task_for_ever(drive):
    drive.submit("a", template=Template(task_type="work", attempt_timeout_ms=2_000))
    drive.dispatch()
    cancel(drive, "a")
    drive.pass_time(2_000)
    assert drive.state("a") is State.CANCELLED


def test_cancelling_twice_is_once_and_an_ended_task_cannot_be_cancelled(drive):
    drive.submit("a", "b")
    drive.dispatch()
    cancel(drive, "a")
    journal = list(drive.journal)
    assert cancel(drive, "a") is State.CANCELLING
    assert drive.journal == journal
    drive.end("b")
    with pytest.raises(Refusal, match="TASK_STATE_CONFLICT"):
        cancel(drive, "b")
    with pytest.raises(Refusal, match="TASK_NOT_FOUND"):
        cancel(drive, "c")
