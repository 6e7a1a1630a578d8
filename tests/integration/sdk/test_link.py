"""The Work stream against a scheduler that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from support.scripted_services import (
    ScriptedRegistry,
    ScriptedScheduler,
    Stream,
    epoch,
    named,
    offer,
    serving,
    status,
)
from tercio import AccessError, Agent, BlockingContext, Context, PermanentError
from tercio.api.registry.v1 import registry_service_pb2 as registry_pb2
from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2

WorkStream = Stream[work_pb2.WorkRequest, work_pb2.WorkResponse]


@pytest.fixture
def scheduler() -> ScriptedScheduler:
    return ScriptedScheduler()


@asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(agent.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def agent_at(address: str, **settings: object) -> Agent:
    return Agent(address=address, agent_id="a1", **settings)


def has_frame(request: work_pb2.WorkRequest) -> bool:
    return request.HasField("frame")


def has_ended(request: work_pb2.WorkRequest) -> bool:
    return len(request.frame.ended.task_ids) > 0


def acknowledged(number: int, *, revision: int = 5) -> work_pb2.WorkResponse:
    return work_pb2.WorkResponse(epoch=epoch(revision), committed_frame_number=number)


async def test_hello_introduces_the_agent(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        agent = agent_at(address, capabilities={"python": 50}, concurrency=3)
        agent.task("t")(echo)
        async with running(agent):
            stream = await scheduler.work.next()
            request = await stream.request()
            assert request.hello.agent_id == "a1"
            assert dict(request.hello.capabilities) == {"python": 50}
            assert request.hello.concurrency == request.credit == 3
            assert list(request.hello.task_types) == ["t"]
            assert len(request.hello.instance_id) == 16
            assert 16 <= len(request.hello.session_id) <= 64
            assert stream.metadata["tercio-follow"] == "1"


async def echo(task: Context) -> bytes:
    return task.payload


async def test_results_of_one_loop_turn_share_a_frame(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        agent = agent_at(address)
        agent.task("t")(echo)
        async with running(agent):
            stream = await scheduler.work.next()
            await stream.send(offer("x", "y", "z", payloads=[b"1", b"2", b"3"]))
            request = await stream.request(has_frame)
            assert request.frame_number == 1
            assert list(request.frame.ended.task_ids) == ["x", "y", "z"]
            assert list(request.frame.results) == [b"1", b"2", b"3"]
            assert list(request.frame.ended.epochs) == [epoch(5)]
            assert not request.frame.outcomes, "all succeeded, so the column is left out"
            assert not request.frame.started.task_ids, "what ends at once is never reported as started"
            assert request.credit > 1, "prefetch starts once run times are measured"


async def test_a_plain_function_runs_in_a_thread(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        agent = agent_at(address)

        @agent.task("t")
        def shout(task: BlockingContext) -> str:
            task.checkpoint({"page": 3})
            return task.text().upper()

        async with running(agent):
            stream = await scheduler.work.next()
            await stream.send(offer("x", payloads=[b"quiet"]))
            request = await stream.request(has_frame)
            assert [item.data for item in request.frame.checkpoints] == [b'{"page":3}']
            assert list(request.frame.started.task_ids) == ["x"], "a checkpoint says that the attempt runs"
            assert not has_ended(request), "the function waits until its checkpoint is durable"
            await stream.send(acknowledged(1))
            assert list((await stream.request(has_ended)).frame.results) == [b"QUIET"]


async def test_failures_say_why(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        agent = agent_at(address)

        @agent.task("broken")
        async def broken(task: Context) -> None:
            raise KeyError("no such thing")

        @agent.task("hopeless")
        async def hopeless(task: Context) -> None:
            raise PermanentError("not a picture", reason="BAD_PICTURE")

        async with running(agent):
            stream = await scheduler.work.next()
            for task_type in ("broken", "hopeless", "unheard-of"):
                await stream.send(offer(task_type, task_type=task_type))
            failures = []
            while len(failures) < 3:
                frame = (await stream.request(has_ended)).frame
                assert set(frame.outcomes) == {work_pb2.OUTCOME_FAILED}
                failures += [(item.reason, item.message, item.permanent) for item in frame.failures]
            assert failures[0] == ("HANDLER_ERROR", "KeyError: 'no such thing'", False)
            assert failures[1] == ("BAD_PICTURE", "not a picture", True)
            assert failures[2][0] == "UNKNOWN_TASK_TYPE"
            assert not failures[2][2]


async def test_unacknowledged_results_are_listed_and_sent_again(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        agent = agent_at(address)
        agent.task("t")(echo)
        async with running(agent):
            first = await scheduler.work.next()
            session = (await first.request()).hello.session_id
            await first.send(offer("x", payloads=[b"1"]))
            sent = await first.request(has_frame)
            await first.send(offer("y", payloads=[b"2"]))
            await first.request(has_frame)
            await first.send(acknowledged(1))
            first.end(status(grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN"))

            second = await scheduler.work.next()
            hello = (await second.request()).hello
            assert hello.session_id == session
            assert list(hello.started.task_ids) == ["y"], "what the scheduler may not know yet is still held"
            assert not hello.offered.task_ids
            again = await second.request(has_frame)
            assert again.frame_number == 2
            assert list(again.frame.ended.task_ids) == ["y"]
            assert sent.frame_number == 1


async def test_a_repeated_offer_is_ignored(scheduler: ScriptedScheduler) -> None:
    runs: list[str] = []
    async with serving(scheduler) as address:
        agent = agent_at(address)

        @agent.task("t")
        async def count(task: Context) -> None:
            runs.append(task.task_id)

        async with running(agent):
            stream = await scheduler.work.next()
            await stream.send(offer("x"))
            await stream.request(has_ended)
            await stream.send(offer("x"))
            await stream.send(offer("y"))
            assert list((await stream.request(has_ended)).frame.ended.task_ids) == ["y"]
            assert runs == ["x", "y"]


async def test_a_lower_epoch_is_not_obeyed(scheduler: ScriptedScheduler) -> None:
    runs: list[str] = []
    async with serving(scheduler) as address:
        agent = agent_at(address)

        @agent.task("t")
        async def count(task: Context) -> str:
            runs.append(task.task_id)
            return str(task.fencing_token)

        async with running(agent):
            stream = await scheduler.work.next()
            await stream.send(offer("x", revision=7))
            assert list((await stream.request(has_ended)).frame.results) == [b"1.7.1"]
            await stream.send(offer("stale", revision=6))
            successor = await scheduler.work.next()
            await successor.send(offer("y", revision=8))
            await successor.request(lambda request: "y" in request.frame.ended.task_ids)
            assert runs == ["x", "y"]


async def test_an_expired_session_is_replaced_and_results_are_sent_again(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        agent = agent_at(address)
        agent.task("t")(echo)
        async with running(agent):
            first = await scheduler.work.next()
            session = (await first.request()).hello.session_id
            await first.send(offer("x"))
            await first.request(has_frame)
            await first.send(acknowledged(1))
            await first.send(offer("y"))
            assert (await first.request(has_frame)).frame_number == 2
            first.end(status(grpc.StatusCode.FAILED_PRECONDITION, "SESSION_EXPIRED"))

            second = await scheduler.work.next()
            assert (await second.request()).hello.session_id != session
            again = await second.request(has_frame)
            assert (again.frame_number, list(again.frame.ended.task_ids)) == (1, ["y"])


async def test_a_cancelled_attempt_ends_cancelled(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        agent = agent_at(address)

        @agent.task("t")
        async def wait(task: Context) -> None:
            await asyncio.Event().wait()

        async with running(agent):
            stream = await scheduler.work.next()
            await stream.send(offer("x", "waits-behind"))
            await stream.request(lambda request: "x" in request.frame.started.task_ids)
            await stream.send(work_pb2.WorkResponse(epoch=epoch(5), cancelled=named("x")))
            frame = (await stream.request(has_ended)).frame
            assert list(frame.ended.task_ids) == ["x"]
            assert list(frame.outcomes) == [work_pb2.OUTCOME_CANCELLED]


async def test_a_plain_function_sees_its_cancellation(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        agent = agent_at(address)

        @agent.task("t")
        def wait(task: BlockingContext) -> None:
            task.cancelled.wait(10)
            task.raise_if_cancelled()

        async with running(agent):
            stream = await scheduler.work.next()
            await stream.send(offer("x"))
            await stream.request(lambda request: "x" in request.frame.started.task_ids)
            await stream.send(work_pb2.WorkResponse(epoch=epoch(5), cancelled=named("x")))
            assert list((await stream.request(has_ended)).frame.outcomes) == [work_pb2.OUTCOME_CANCELLED]


async def test_an_attempt_that_runs_too_long_fails(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        agent = agent_at(address)

        @agent.task("t")
        async def wait(task: Context) -> None:
            await asyncio.Event().wait()

        async with running(agent):
            stream = await scheduler.work.next()
            await stream.send(offer("x", timeout_ms=[40]))
            frame = (await stream.request(has_ended)).frame
            assert list(frame.outcomes) == [work_pb2.OUTCOME_FAILED]
            assert frame.failures[0].reason == "ATTEMPT_TIMEOUT"


async def test_a_recalled_attempt_is_returned_unless_it_runs(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        agent = agent_at(address)
        finish = asyncio.Event()

        @agent.task("t")
        async def wait(task: Context) -> None:
            await finish.wait()

        async with running(agent):
            stream = await scheduler.work.next()
            await stream.send(offer("runs", "waits"))
            await stream.request(lambda request: "runs" in request.frame.started.task_ids)
            await stream.send(work_pb2.WorkResponse(epoch=epoch(5), recalled=named("runs", "waits")))
            frame = (await stream.request(has_ended)).frame
            assert list(frame.ended.task_ids) == ["waits"]
            assert list(frame.outcomes) == [work_pb2.OUTCOME_RETURNED]
            finish.set()
            assert list((await stream.request(has_ended)).frame.ended.task_ids) == ["runs"]


async def test_a_drained_agent_returns_what_waits_finishes_what_runs_and_leaves(scheduler: ScriptedScheduler) -> None:
    registry = ScriptedRegistry()
    async with serving(scheduler, registry) as address:
        agent = agent_at(address)
        finish = asyncio.Event()

        @agent.task("t")
        async def wait(task: Context) -> str:
            await finish.wait()
            return "done"

        async with running(agent) as run:
            stream = await scheduler.work.next()
            await stream.send(offer("runs", "waits"))
            await stream.request(lambda request: "runs" in request.frame.started.task_ids)
            agent.drain()
            request = await stream.request(has_ended)
            assert request.draining
            assert list(request.frame.ended.task_ids) == ["waits"]
            assert list(request.frame.outcomes) == [work_pb2.OUTCOME_RETURNED]
            await stream.send(acknowledged(request.frame_number))
            finish.set()
            request = await stream.request(has_ended)
            assert list(request.frame.results) == [b"done"]
            assert not run.done(), "the result is not committed yet"
            await stream.send(acknowledged(request.frame_number))
            await asyncio.wait_for(run, 5)
            (left,) = registry.deregistrations
            assert (left.agent_id, left.mode) == ("a1", registry_pb2.DeregisterAgentRequest.MODE_GRACEFUL)
            assert (left.drain.finished_attempts, left.drain.returned_attempts) == (1, 1)


async def test_a_stopped_agent_reports_what_it_cut_short(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        agent = agent_at(address)

        @agent.task("t")
        async def wait(task: Context) -> None:
            await asyncio.Event().wait()

        async with running(agent) as run:
            stream = await scheduler.work.next()
            await stream.send(offer("runs"))
            await stream.request(lambda request: "runs" in request.frame.started.task_ids)
            agent.stop()
            request = await stream.request(has_ended)
            assert request.frame.failures[0].reason == "AGENT_STOPPED"
            await stream.send(acknowledged(request.frame_number))
            await asyncio.wait_for(run, 5)


async def test_the_agent_goes_where_the_leader_is(scheduler: ScriptedScheduler) -> None:
    leader = ScriptedScheduler()
    async with serving(scheduler) as follower_address, serving(leader) as leader_address:
        agent = agent_at(follower_address)
        agent.task("t")(echo)
        async with running(agent):
            follower = await scheduler.work.next()
            not_leader = status(grpc.StatusCode.UNAVAILABLE, "NOT_LEADER", metadata={"leader": leader_address})
            follower.end(not_leader)
            stream = await leader.work.next()
            await stream.send(offer("x"))
            await stream.request(has_ended)
            await stream.send(work_pb2.WorkResponse(epoch=epoch(5), going_away=True))
            await scheduler.work.next()


async def test_leases_are_renewed_three_times_a_lease_while_something_is_held(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        agent = agent_at(address)

        @agent.task("t")
        async def wait(task: Context) -> None:
            await task.progress(40)
            await asyncio.Event().wait()

        async with running(agent):
            stream = await scheduler.work.next()
            response = offer("x")
            response.attempt_lease_ms = 60
            await stream.send(response)
            request = await stream.request(lambda request: request.HasField("progress"))
            assert list(request.progress.percents) == [40]
            for _ in range(3):
                await stream.request(lambda request: request.renew)


async def test_an_agent_that_may_not_work_says_so(scheduler: ScriptedScheduler) -> None:
    async with serving(scheduler) as address:
        agent = agent_at(address)
        agent.task("t")(echo)
        async with running(agent) as run:
            (await scheduler.work.next()).end(status(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"))
            with pytest.raises(AccessError):
                await asyncio.wait_for(run, 5)
