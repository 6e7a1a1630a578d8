"""SubmitStream: frames in, acknowledgements and results back, over cuts and reconnects."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from support.registry import fields_of, reason_of
from support.scheduler_service import Scheduler, Submitter
from tercio.api.scheduler.v1 import task_pb2
from tercio.api.scheduler.v1 import task_service_pb2 as api
from tercio_common.testing.eventually import eventually


@contextlib.asynccontextmanager
async def submitter(scheduler: Scheduler, session_id: str = "session-of-a-client") -> AsyncIterator[Submitter]:
    stream = Submitter(scheduler, session_id=session_id)
    try:
        yield stream
    finally:
        await stream.cut()


async def test_results_come_back_for_what_was_submitted(scheduler: Scheduler) -> None:
    async with submitter(scheduler) as stream, scheduler.agent() as agent:
        await stream.send(1, "a", "b", payloads=[b"one", b"two"])
        await stream.settled(1)
        attempts = {attempt.task_id: attempt for attempt in await agent.has(2)}
        assert attempts["b"].payload == b"two"
        await agent.succeed(attempts["a"], result=b"done")
        await agent.fail(attempts["b"], reason="BROKEN", permanent=True)
        await eventually(lambda: len(stream.results) == 2)
        assert stream.results == {"a": ("SUCCEEDED", b"done"), "b": ("DEAD_LETTER", b"")}
        assert stream.reasons == {"b": "BROKEN"}


async def test_each_task_is_judged_on_its_own(scheduler: Scheduler) -> None:
    await scheduler.submit("taken", payload=b"other")
    async with submitter(scheduler) as stream:
        parents = [api.SubmitFrame.Dependencies(index=1, depends_on=["nobody"])]
        await stream.send(1, "taken", "orphan", "good", dependencies=parents)
        await stream.settled(1)
        assert stream.refusals == {"taken": "TASK_ID_REUSED", "orphan": "DEPENDENCY_UNKNOWN"}
    assert await scheduler.pages() == [["taken", "good"]]


async def test_a_full_store_turns_away_no_frame_that_was_taken_before(scheduler: Scheduler) -> None:
    async with submitter(scheduler) as stream:
        await stream.send(1, "a", "b")
        await stream.settled(1)
    scheduler.service.host.space.nearly_full = True
    async with submitter(scheduler) as again:
        await again.send(1, "a", "b")
        await again.settled(1)
        assert again.refusals == {}
    async with submitter(scheduler, session_id="another-session-of-it") as anew:
        await anew.send(1, "a", "b")
        await anew.send(2, "c")
        assert reason_of(await anew.ended()) == "STORE_NEARLY_FULL"
        assert anew.committed == 1
    assert await scheduler.pages() == [["a", "b"]]


async def test_a_frame_resent_after_a_cut_is_acknowledged_and_submits_once(scheduler: Scheduler) -> None:
    async with submitter(scheduler) as stream:
        await stream.send(1, "a", "b")
        await stream.settled(1)
    async with scheduler.agent() as agent:
        await agent.succeed(*(await agent.has(2)), result=b"meanwhile")
        async with submitter(scheduler) as again:
            await again.send(1, "a", "b")
            await again.send(2, "c")
            await again.settled(2)
            await eventually(lambda: len(again.results) == 2)
            assert again.results["a"] == ("SUCCEEDED", b"meanwhile")
    assert await scheduler.pages() == [["a", "b", "c"]]


async def test_refusals_of_a_resent_frame_are_told_again(scheduler: Scheduler) -> None:
    await scheduler.submit("taken", payload=b"other")
    parents = [api.SubmitFrame.Dependencies(index=1, depends_on=["nobody"])]
    async with submitter(scheduler) as stream:
        await stream.send(1, "taken", "orphan", dependencies=parents)
        await stream.settled(1)
    async with submitter(scheduler) as again:
        await again.send(1, "taken", "orphan", dependencies=parents)
        await again.settled(1)
        assert again.refusals == {"taken": "TASK_ID_REUSED", "orphan": "DEPENDENCY_UNKNOWN"}


async def test_followed_tasks_are_told_of_whether_they_ended_or_will(scheduler: Scheduler) -> None:
    await scheduler.submit("ended", "open")
    async with scheduler.agent() as agent, submitter(scheduler) as stream:
        attempts = {attempt.task_id: attempt for attempt in await agent.has(2)}
        await agent.succeed(attempts["ended"], result=b"1")
        await stream.say(follow_task_ids=["ended", "open", "nobody"])
        await eventually(lambda: stream.results and stream.refusals)
        assert stream.results == {"ended": ("SUCCEEDED", b"1")}
        assert stream.refusals == {"nobody": "TASK_NOT_FOUND"}
        await agent.succeed(attempts["open"], result=b"2")
        await eventually(lambda: "open" in stream.results)
        assert stream.deliveries == 2


async def test_a_task_that_was_known_and_ended_is_answered_with_its_result(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    async with scheduler.agent() as agent, submitter(scheduler) as stream:
        await agent.succeed(*(await agent.has(1)), result=b"before")
        await stream.send(1, "t")
        await eventually(lambda: stream.results)
        assert stream.results == {"t": ("SUCCEEDED", b"before")}


async def test_many_results_come_in_few_messages_that_fit(scheduler: Scheduler) -> None:
    ids = [f"t{number}" for number in range(40)]
    async with submitter(scheduler) as stream, scheduler.agent(concurrency=100) as agent:
        await stream.send(1, *ids)
        await agent.has(40)
        for attempt in agent.attempts:
            await agent.succeed(attempt, result=bytes(60_000))
        await eventually(lambda: len(stream.results) == 40)


async def test_the_stream_ends_once_every_followed_task_has(scheduler: Scheduler) -> None:
    async with submitter(scheduler) as stream, scheduler.agent() as agent:
        await stream.send(1, "t")
        await stream.close()
        await agent.succeed(*(await agent.has(1)))
        await eventually(lambda: stream.over)
        assert stream.results == {"t": ("SUCCEEDED", b"")}


async def test_an_idle_stream_does_not_fall_behind(scheduler: Scheduler) -> None:
    async with submitter(scheduler) as stream:
        await stream.say(follow_task_ids=["nobody"])
        await eventually(lambda: stream.refusals)
        for number in range(200):
            await scheduler.submit(f"t{number}", payload=bytes(60_000))
        await stream.send(1, "last")
        await stream.settled(1)


@pytest.mark.parametrize(("numbers", "reason"), [((1, 3), "FRAME_OUT_OF_ORDER"), ((2,), "SESSION_EXPIRED")])
async def test_a_gap_in_the_frames_ends_the_stream(scheduler: Scheduler, numbers: tuple[int, ...], reason: str) -> None:
    async with submitter(scheduler) as stream:
        for number in numbers:
            await stream.send(number, f"t{number}")
        assert reason_of(await stream.ended()) == reason


async def test_a_plan_of_a_frame_is_ignored(scheduler: Scheduler) -> None:
    async with submitter(scheduler) as stream:
        await stream.send(1, "t", plan_id="p")
        await stream.settled(1)
    assert (await scheduler.get("t")).plan_id == ""


ECHO = task_pb2.TaskTemplate(task_type="echo")
FRAME = api.SubmitFrame
PARENTS = FRAME.Dependencies


@pytest.mark.parametrize(
    ("frame", "fields"),
    [
        pytest.param(FRAME(templates=[ECHO]), ["frame.task_ids"], id="no tasks"),
        pytest.param(FRAME(task_ids=["a"]), ["frame.templates"], id="no templates"),
        pytest.param(
            FRAME(templates=[ECHO], task_ids=["a", "", "ä b"]), ["frame.task_ids[1]", "frame.task_ids[2]"], id="ids"
        ),
        pytest.param(FRAME(templates=[ECHO], task_ids=["a", "a"]), ["frame.task_ids"], id="an id twice"),
        pytest.param(FRAME(templates=[ECHO], task_ids=["a" * 129]), ["frame.task_ids[0]"], id="long id"),
        pytest.param(FRAME(templates=[ECHO], task_ids=["a", "b"], payloads=[b""]), ["frame.payloads"], id="payloads"),
        pytest.param(
            FRAME(templates=[ECHO], task_ids=["a"], template_indexes=[1]), ["frame.template_indexes[0]"], id="index"
        ),
        pytest.param(
            FRAME(templates=[ECHO], task_ids=["a"], template_indexes=[0, 0]), ["frame.template_indexes"], id="indexes"
        ),
        pytest.param(FRAME(templates=[{}], task_ids=["a"]), ["frame.templates[0].task_type"], id="template"),
        pytest.param(FRAME(templates=[ECHO] * 101, task_ids=["a"]), ["frame.templates"], id="too many templates"),
        pytest.param(FRAME(templates=[ECHO], task_ids=map(str, range(1001))), ["frame.task_ids"], id="too many tasks"),
        pytest.param(
            FRAME(templates=[ECHO], task_ids=["a"], dependencies=[PARENTS(index=1)]),
            ["frame.dependencies[0]"],
            id="child",
        ),
        pytest.param(
            FRAME(templates=[ECHO], task_ids=["a"], dependencies=[PARENTS(depends_on=["a"])] * 2),
            ["frame.dependencies", "frame.dependencies[0].depends_on", "frame.dependencies[1].depends_on"],
            id="parents of itself, twice",
        ),
        pytest.param(
            FRAME(templates=[ECHO], task_ids=["a"], dependencies=[PARENTS(depends_on=map(str, range(257)))]),
            ["frame.dependencies[0].depends_on"],
            id="too many parents",
        ),
        pytest.param(
            FRAME(templates=[ECHO], task_ids=map(str, range(6)), payloads=[bytes(60_000)] * 6),
            ["frame"],
            id="too large",
        ),
    ],
)
async def test_a_malformed_frame_never_reaches_the_journal(
    scheduler: Scheduler, frame: api.SubmitFrame, fields: list[str]
) -> None:
    before = scheduler.service.host.tip_seq
    async with submitter(scheduler) as stream:
        await stream.say(frame_number=1, frame=frame)
        error = await stream.ended()
        assert reason_of(error) == "INVALID_ARGUMENT"
        assert fields_of(error) == fields
    assert scheduler.service.host.tip_seq == before


async def test_a_payload_over_64_kb_has_its_own_reason(scheduler: Scheduler) -> None:
    async with submitter(scheduler) as stream:
        await stream.send(1, "a", "b", payloads=[b"", bytes(65 * 1024)])
        error = await stream.ended()
        assert (reason_of(error), fields_of(error)) == ("PAYLOAD_TOO_LARGE", ["frame.payloads[1]"])


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        pytest.param({"session_id": "short"}, ["session_id"], id="session"),
        pytest.param({"frame_number": 1}, ["frame_number"], id="number without frame"),
        pytest.param({"frame": FRAME(templates=[ECHO], task_ids=["a"])}, ["frame_number"], id="frame without number"),
        pytest.param({"follow_task_ids": ["?", "!"]}, ["follow_task_ids[0]", "follow_task_ids[1]"], id="followed ids"),
        pytest.param({"follow_task_ids": map(str, range(1001))}, ["follow_task_ids"], id="too many followed"),
    ],
)
async def test_malformed_messages_end_the_stream(
    scheduler: Scheduler, fields: dict[str, object], named: list[str]
) -> None:
    async with submitter(scheduler) as stream:
        await stream.say(**fields)
        error = await stream.ended()
        assert (reason_of(error), fields_of(error)) == ("INVALID_ARGUMENT", named)


async def test_a_session_is_one_for_the_whole_stream(scheduler: Scheduler) -> None:
    async with submitter(scheduler) as stream:
        await stream.send(1, "a")
        await stream.say(session_id="another-session-id", follow_task_ids=["a"])
        assert fields_of(await stream.ended()) == ["session_id"]
