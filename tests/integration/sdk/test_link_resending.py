"""An agent with more to send again than a connection takes at once."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from support.scripted_services import ScriptedScheduler, epoch, offer, serving, status
from tercio import Agent, Context
from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2


def has_frame(request: work_pb2.WorkRequest) -> bool:
    return request.HasField("frame")


async def test_an_expired_session_is_noticed_however_many_results_are_to_be_sent_again() -> None:
    count, scheduler = 40, ScriptedScheduler()
    async with serving(scheduler) as address:
        agent = Agent(address=address, agent_id="a1")

        @agent.task("t")
        async def large(task: Context) -> bytes:
            await asyncio.sleep(0)
            return b"x" * 64_000

        run = asyncio.create_task(agent.run())
        try:
            first = await scheduler.work.next()
            session = (await first.request()).hello.session_id
            for number in range(count):
                await first.send(offer(f"x{number}"))
            ended: set[str] = set()
            while len(ended) < count:
                ended.update((await first.request(has_frame)).frame.ended.task_ids)
            first.end(status(grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN"))
            second = await scheduler.work.next()
            assert (await second.request()).hello.session_id == session
            await second.request(has_frame)
            second.end(status(grpc.StatusCode.FAILED_PRECONDITION, "SESSION_EXPIRED"))
            third = await scheduler.work.next()
            assert (await third.request()).hello.session_id != session
            again = await third.request(has_frame)
            await third.send(work_pb2.WorkResponse(epoch=epoch(5), committed_frame_number=1))
            sent = set(again.frame.ended.task_ids)
            while len(sent) < count:
                sent.update((await third.request(has_frame)).frame.ended.task_ids)
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)


@pytest.mark.parametrize(
    ("code", "tries"),
    [(grpc.StatusCode.INTERNAL, 5), (grpc.StatusCode.INVALID_ARGUMENT, 2)],
    ids=lambda value: value.name if isinstance(value, grpc.StatusCode) else str(value),
)
async def test_a_report_that_is_always_refused_is_dropped_and_holds_up_no_other(
    code: grpc.StatusCode, tries: int
) -> None:
    scheduler = ScriptedScheduler()
    async with serving(scheduler) as address:
        agent = Agent(address=address, agent_id="a1")

        @agent.task("t")
        async def echo(task: Context) -> bytes:
            return task.payload

        run = asyncio.create_task(agent.run())
        try:
            stream = await scheduler.work.next()
            for name in ("poison", "good"):
                await stream.send(offer(name))
                assert list((await stream.request(has_frame)).frame.ended.task_ids) == [name]
            for _ in range(tries):
                stream.end(status(code, code.name))
                stream = await scheduler.work.next()
                await stream.request()
                await stream.send(work_pb2.WorkResponse(epoch=epoch(5)))
                request = await stream.request(has_frame)
            assert list(request.frame.ended.task_ids) == ["good"]
            await stream.send(work_pb2.WorkResponse(epoch=epoch(5), committed_frame_number=request.frame_number))
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
