"""The SubmitStream against a scheduler that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc.aio._call import StreamStreamCall

from support.scripted_services import ScriptedScheduler, Stream, serving, status
from tercio import (
    AccessError,
    Client,
    ClosedError,
    ExhaustedError,
    InvalidRequestError,
    NotFoundError,
    TaskDeadLetteredError,
    TaskSpec,
    TaskState,
    TercioError,
    UnavailableError,
)
from tercio.api.scheduler.v1 import task_pb2
from tercio.api.scheduler.v1.task_service_pb2 import SubmitStreamRequest, SubmitStreamResponse, SubmitTasksResponse

SubmitStream = Stream[SubmitStreamRequest, SubmitStreamResponse]


@pytest.fixture
def scheduler() -> ScriptedScheduler:
    return ScriptedScheduler()


@pytest.fixture
async def client(scheduler: ScriptedScheduler) -> AsyncIterator[Client]:
    async with serving(scheduler) as address, Client(address=address) as client:
        yield client


def committed(number: int) -> SubmitStreamResponse:
    return SubmitStreamResponse(committed_frame_number=number)


def succeeded(*task_ids: str, results: list[bytes] | None = None) -> SubmitStreamResponse:
    columns = SubmitStreamResponse.Results(
        task_ids=task_ids, states=[task_pb2.Task.STATE_SUCCEEDED] * len(task_ids), results=results or []
    )
    return SubmitStreamResponse(results=columns)


async def test_a_submission_returns_when_it_is_durable(scheduler: ScriptedScheduler, client: Client) -> None:
    submitting = asyncio.create_task(client.submit("resize", {"width": 9}, task_id="x", priority=7))
    stream = await scheduler.submissions.next()
    request = await stream.request()
    assert request.frame_number == 1
    assert list(request.frame.task_ids) == ["x"]
    assert list(request.frame.payloads) == [b'{"width":9}']
    assert request.frame.templates[0].task_type == "resize"
    assert request.frame.templates[0].priority == 7
    assert stream.metadata["tercio-follow"] == "1"
    assert not submitting.done()
    await stream.send(committed(1))
    handle = await submitting
    assert handle.is_accepted
    await stream.send(succeeded("x", results=[b'{"ok":true}']))
    assert await handle.json() == {"ok": True}
    assert await handle == b'{"ok":true}'
    assert handle.state is TaskState.SUCCEEDED


async def test_what_one_loop_turn_enqueues_shares_a_frame(scheduler: ScriptedScheduler, client: Client) -> None:
    handles = [client.enqueue("a"), client.enqueue("b", depends_on=["p"]), client.enqueue("a")]
    stream = await scheduler.submissions.next()
    frame = (await stream.request()).frame
    assert list(frame.task_ids) == [handle.task_id for handle in handles]
    assert [template.task_type for template in frame.templates] == ["a", "b"]
    assert list(frame.template_indexes) == [0, 1, 0]
    assert not frame.payloads
    assert [(item.index, list(item.depends_on)) for item in frame.dependencies] == [(1, ["p"])]


async def test_frames_are_bounded_by_count_and_size(scheduler: ScriptedScheduler, client: Client) -> None:
    for _ in range(700):
        client.enqueue("a")
    for _ in range(5):
        client.enqueue("a", b"x" * 60_000)
    stream = await scheduler.submissions.next()
    counts: list[int] = []
    while sum(counts) < 705:
        request = await stream.request()
        assert request.ByteSize() <= 256 * 1024
        counts.append(len(request.frame.task_ids))
    assert counts[0] == 500


async def test_unacknowledged_frames_are_sent_again_and_then_followed(
    scheduler: ScriptedScheduler, client: Client
) -> None:
    known = client.enqueue("a", task_id="known")
    first = await scheduler.submissions.next()
    session = (await first.request()).session_id
    await first.send(committed(1))
    await known.accepted()
    unsure = client.enqueue("a", task_id="unsure")
    assert (await first.request()).frame_number == 2
    first.end(status(grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN"))

    second = await scheduler.submissions.next()
    again = await second.request()
    assert (again.session_id, again.frame_number, list(again.frame.task_ids)) == (session, 2, ["unsure"])
    followed = await second.request()
    assert list(followed.follow_task_ids) == ["known"]
    await second.send(committed(2))
    followed = await second.request()
    assert list(followed.follow_task_ids) == ["unsure"]
    await second.send(succeeded("known", "unsure", results=[b"1", b"2"]))
    assert [await known, await unsure] == [b"1", b"2"]


async def test_what_is_submitted_while_frames_are_sent_again_is_not_asked_after_before_it_is_sent(
    scheduler: ScriptedScheduler, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_of_all = client.enqueue("a", task_id="unsure")
    first = await scheduler.submissions.next()
    await first.request()
    late: list[str] = []
    write = StreamStreamCall.write

    async def write_while_others_submit(call: StreamStreamCall[Any, Any], request: SubmitStreamRequest) -> None:
        if request.frame.task_ids == ["unsure"]:
            late.append(client.enqueue("a", task_id="late").task_id)
        await write(call, request)

    monkeypatch.setattr(StreamStreamCall, "write", write_while_others_submit)
    first.end(status(grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN"))
    second = await scheduler.submissions.next()
    assert list((await second.request()).frame.task_ids) == ["unsure"]
    assert late == ["late"]
    following = await second.request()
    assert (list(following.follow_task_ids), list(following.frame.task_ids)) == ([], ["late"])
    assert first_of_all.error is None


async def test_an_expired_session_is_replaced(scheduler: ScriptedScheduler, client: Client) -> None:
    client.enqueue("a", task_id="x")
    first = await scheduler.submissions.next()
    session = (await first.request()).session_id
    await first.send(committed(1))
    client.enqueue("a", task_id="y")
    assert (await first.request()).frame_number == 2
    first.end(status(grpc.StatusCode.FAILED_PRECONDITION, "SESSION_EXPIRED"))
    second = await scheduler.submissions.next()
    again = await second.request()
    assert again.session_id != session
    assert (again.frame_number, list(again.frame.task_ids)) == (1, ["y"])


async def test_an_expired_session_is_noticed_however_much_is_to_be_sent_again(
    scheduler: ScriptedScheduler, client: Client
) -> None:
    frames = 40  # more than the connection takes before the scheduler reads
    for _ in range(3 * frames):
        client.enqueue("a", b"x" * 60_000)
    first = await scheduler.submissions.next()
    for number in range(frames):
        assert (await first.request()).frame_number == number + 1
    session = first.requests[0].session_id
    first.end(status(grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN"))
    second = await scheduler.submissions.next()
    assert (await second.request()).session_id == session
    second.end(status(grpc.StatusCode.FAILED_PRECONDITION, "SESSION_EXPIRED"))
    third = await scheduler.submissions.next()
    assert (await third.request()).session_id != session
    await third.send(committed(1))
    assert (await third.request()).frame_number == 2
    assert (await third.request()).frame_number == 3


async def test_a_refused_task_raises_and_its_frame_fellows_do_not(scheduler: ScriptedScheduler, client: Client) -> None:
    refused, taken = client.enqueue("a", task_id="refused"), client.enqueue("a", task_id="taken")
    stream = await scheduler.submissions.next()
    await stream.request()
    refusal = SubmitStreamResponse.Refusal(task_id="refused", reason="QUEUE_FULL", message="come back later")
    await stream.send(SubmitStreamResponse(committed_frame_number=1, refusals=[refusal]))
    await taken.accepted()
    with pytest.raises(ExhaustedError, match="come back later"):
        await refused.accepted()


async def test_a_task_without_success_raises_why(scheduler: ScriptedScheduler, client: Client) -> None:
    handle = client.enqueue("a", task_id="x")
    stream = await scheduler.submissions.next()
    await stream.request()
    failure = SubmitStreamResponse.AttemptFailure(index=0, reason="BAD_PICTURE", message="not a picture")
    columns = SubmitStreamResponse.Results(task_ids=["x"], states=[task_pb2.Task.STATE_DEAD_LETTER], failures=[failure])
    await stream.send(SubmitStreamResponse(results=columns))
    with pytest.raises(TaskDeadLetteredError) as caught:
        await handle.result()
    assert (caught.value.reason, caught.value.message) == ("BAD_PICTURE", "not a picture")
    assert handle.state is TaskState.DEAD_LETTER


async def test_the_window_bounds_what_is_on_its_way(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address, Client(address=address, window=2) as client:
        handles = [client.enqueue("a") for _ in range(3)]
        stream = await scheduler.submissions.next()
        assert len((await stream.request()).frame.task_ids) == 2
        room = asyncio.create_task(client.room())
        await asyncio.sleep(0)
        assert not room.done()
        await stream.send(committed(1))
        await room
        assert list((await stream.request()).frame.task_ids) == [handles[2].task_id]


async def test_an_unanswered_submission_times_out(client: Client) -> None:
    with pytest.raises(UnavailableError, match="not acknowledged within"):
        await client.submit("a", timeout_s=0.05)


async def test_a_malformed_task_fails_alone(scheduler: ScriptedScheduler, client: Client) -> None:
    malformed = status(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "priority")
    names = [str(number) for number in range(8)]
    handles = {name: client.enqueue("a", task_id=name) for name in names}
    stream = await scheduler.submissions.next()
    await stream.request()
    handles["later"] = client.enqueue("a", task_id="later")
    await stream.request()
    stream.end(malformed)
    while not handles["5"].is_done or not handles["later"].is_accepted:
        stream = await scheduler.submissions.next()
        while not handles["later"].is_accepted:
            request = await stream.request(lambda request: request.frame_number > 0)
            if "5" in request.frame.task_ids:
                stream.end(malformed)
                break
            await stream.send(committed(request.frame_number))
            if "later" in request.frame.task_ids:
                await handles["later"].accepted()
    with pytest.raises(InvalidRequestError, match="priority"):
        await handles["5"].accepted()
    for name in [*names[:5], *names[6:], "later"]:
        await handles[name].accepted()


async def test_a_caller_without_access_is_told_at_once(scheduler: ScriptedScheduler, client: Client) -> None:
    handle = client.enqueue("a")
    (await scheduler.submissions.next()).end(status(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"))
    with pytest.raises(AccessError):
        await handle.accepted()


async def test_closing_the_client_releases_those_who_wait(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        client = Client(address=address)
        handle = client.enqueue("a")
        waiting = asyncio.create_task(handle.result())
        await (await scheduler.submissions.next()).request()
        await client.close()
        with pytest.raises(ClosedError):
            await waiting
        with pytest.raises(ClosedError):
            client.enqueue("a")


async def test_map_yields_results_in_order(scheduler: ScriptedScheduler, client: Client) -> None:
    async def results() -> list[bytes]:
        return [result async for result in client.map("a", (b"%d" % number for number in range(6)), in_flight=4)]

    collecting = asyncio.create_task(results())
    stream = await scheduler.submissions.next()
    done = 0
    while done < 6:
        request = await stream.request()
        payloads = list(request.frame.payloads)
        done += len(payloads)
        response = succeeded(*reversed(request.frame.task_ids), results=payloads[::-1])
        response.committed_frame_number = request.frame_number
        await stream.send(response)
    assert await collecting == [b"0", b"1", b"2", b"3", b"4", b"5"]


async def test_a_batch_is_submitted_at_once_and_followed(scheduler: ScriptedScheduler, client: Client) -> None:
    scheduler.answers = [SubmitTasksResponse(task_ids=["x", "y"])]
    handles = await client.submit_batch([TaskSpec(task_type="a"), TaskSpec(task_type="a", depends_on=["x"])])
    request, _ = scheduler.unary[0]
    assert request.request_id
    assert [list(task.depends_on) for task in request.tasks] == [[], ["x"]]
    stream = await scheduler.submissions.next()
    assert list((await stream.request()).follow_task_ids) == ["x", "y"]
    await stream.send(succeeded("x", "y"))
    assert [await handle for handle in handles] == [b"", b""]


async def test_a_malformed_id_is_refused_here_and_spoils_no_stream(client: Client) -> None:
    with pytest.raises(InvalidRequestError, match="task_id"):
        client.handle("not an id")


async def test_a_followed_task_that_is_not_kept_is_not_found(scheduler: ScriptedScheduler, client: Client) -> None:
    handle = client.handle("long-gone")
    stream = await scheduler.submissions.next()
    await stream.request()
    refusal = SubmitStreamResponse.Refusal(task_id="long-gone", reason="TASK_NOT_FOUND", message="evicted")
    await stream.send(SubmitStreamResponse(refusals=[refusal]))
    with pytest.raises(NotFoundError):
        await handle.result()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        pytest.param({"task_type": "no spaces"}, "task_type", id="type"),
        pytest.param({"task_type": "a", "task_id": "no spaces"}, "task_id", id="id"),
        pytest.param({"task_type": "a", "priority": 12}, "priority", id="priority"),
        pytest.param({"task_type": "a", "prioity": 1}, "prioity", id="unknown option"),
    ],
)
async def test_a_malformed_task_is_refused_before_it_is_sent(
    client: Client, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        client.enqueue(**arguments)
    assert [violation.field for violation in caught.value.violations] == [field]


async def test_a_payload_over_64_kb_is_refused_before_it_is_sent(client: Client) -> None:
    with pytest.raises(InvalidRequestError, match="PAYLOAD_TOO_LARGE"):
        client.enqueue("a", b"x" * 65_537)


async def test_a_task_on_which_the_scheduler_always_fails_is_given_up_alone(
    scheduler: ScriptedScheduler, client: Client
) -> None:
    handles = {name: client.enqueue("a", task_id=name) for name in ("good", "poison")}
    while not handles["poison"].is_done:
        stream = await scheduler.submissions.next()
        while not handles["poison"].is_done:
            request = await stream.request(lambda request: request.frame_number > 0)
            if "poison" in request.frame.task_ids:
                stream.end(status(grpc.StatusCode.INTERNAL, "INTERNAL", "a defect"))
                break
            await stream.send(committed(request.frame_number))
            await handles["good"].accepted()
    with pytest.raises(TercioError, match="a defect"):
        await handles["poison"].accepted()
    await handles["good"].accepted()
