"""The blocking client, with the scripted scheduler in the test's own loop and the client's loop in its thread."""

from __future__ import annotations

import asyncio

import pytest

from support.scripted_services import ScriptedScheduler, serving
from tercio import ClosedError, NotFoundError
from tercio.api.scheduler.v1 import task_pb2
from tercio.api.scheduler.v1 import task_service_pb2 as service_pb2
from tercio.sync import Client


async def answer_submissions(scheduler: ScriptedScheduler) -> None:
    stream = await scheduler.submissions.next()
    while True:
        request = await stream.request(lambda request: request.frame_number > 0)
        ids = request.frame.task_ids
        results = service_pb2.SubmitStreamResponse.Results(
            task_ids=ids, states=[task_pb2.Task.STATE_SUCCEEDED] * len(ids), results=list(request.frame.payloads)
        )
        await stream.send(
            service_pb2.SubmitStreamResponse(committed_frame_number=request.frame_number, results=results)
        )


async def test_a_blocking_caller_gets_results() -> None:
    scheduler = ScriptedScheduler()
    scheduler.answers = [service_pb2.ListTasksResponse(tasks=[task_pb2.Task(task_id="x")])]

    def call(address: str) -> tuple[object, list[bytes], list[str]]:
        with Client(address=address) as client:
            one = client.submit("a", {"n": 1}).json(timeout_s=5)
            many = list(client.map("a", [b"1", b"2"]))
            return one, many, [task.task_id for task in client.list()]

    async with serving(scheduler) as address:
        answering = asyncio.create_task(answer_submissions(scheduler))
        assert await asyncio.to_thread(call, address) == ({"n": 1}, [b"1", b"2"], ["x"])
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


async def test_waiting_has_an_end_and_errors_cross_the_thread() -> None:
    scheduler = ScriptedScheduler()

    def call(address: str) -> None:
        with Client(address=address) as client:
            handle = client.handle("x")
            with pytest.raises(TimeoutError):
                handle.result(timeout_s=0.05)
            asyncio.run_coroutine_threadsafe(refuse(), loop).result(5)
            with pytest.raises(NotFoundError):
                handle.result(timeout_s=5)
        with pytest.raises(ClosedError):
            client.get("x")

    async def refuse() -> None:
        stream = await scheduler.submissions.next()
        refusal = service_pb2.SubmitStreamResponse.Refusal(task_id="x", reason="TASK_NOT_FOUND")
        await stream.send(service_pb2.SubmitStreamResponse(refusals=[refusal]))

    loop = asyncio.get_running_loop()
    async with serving(scheduler) as address:
        await asyncio.to_thread(call, address)
