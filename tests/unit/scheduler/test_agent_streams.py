"""What one Work stream says next, without a connection."""

from types import SimpleNamespace

from support.scheduler_drive import Drive
from tercio_scheduler.api.agent_streams import AgentStream
from tercio_scheduler.state.commands import AttemptKey


def stream_for(drive: Drive) -> AgentStream:
    term = SimpleNamespace(epoch=drive.epoch, committer=SimpleNamespace(committed=drive.seq))
    return AgentStream(term, agent_id="agent", instance_id=b"first", session_id="s" * 16, lease_ms=15_000)


def said_by(stream: AgentStream) -> list[tuple[list[str], list[str]]]:
    """Return the attempts offered and cancelled by each message that the stream would send now."""
    responses = []
    while (response := stream.next_response()) is not None:
        responses.append((list(response.assignments.task_ids), list(response.cancelled.task_ids)))
    return responses


def test_an_attempt_is_never_cancelled_before_or_with_its_offer():
    drive = Drive()
    drive.submit("a", "b")
    stream = stream_for(drive)
    stream.offer([drive.row("a"), drive.row("b")], [1, 1])
    stream.cancel([AttemptKey("b", drive.epoch, 1), AttemptKey("known", drive.epoch, 1)])
    assert said_by(stream) == [(["a", "b"], ["known"]), ([], ["b"])]


def test_a_cancellation_waits_while_its_offer_does_not_fit_into_a_message():
    drive = Drive()
    task_ids = [f"t{number}" for number in range(1_000)]
    drive.submit(*task_ids)
    stream = stream_for(drive)
    stream.offer([drive.row(task_id) for task_id in task_ids], [1] * 1_000)
    stream.cancel([AttemptKey("t999", drive.epoch, 1)])
    assert said_by(stream) == [(task_ids[:500], []), (task_ids[500:], []), ([], ["t999"])]
