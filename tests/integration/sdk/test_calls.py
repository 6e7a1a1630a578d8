"""Unary calls, listings and watches against a scheduler that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from support.scripted_services import ScriptedScheduler, serving, status
from tercio import (
    Client,
    ConflictError,
    ExhaustedError,
    InvalidRequestError,
    NotFoundError,
    TaskState,
    UnavailableError,
)
from tercio.api.scheduler.v1 import task_pb2
from tercio.api.scheduler.v1 import task_service_pb2 as service_pb2


@pytest.fixture
def scheduler() -> ScriptedScheduler:
    return ScriptedScheduler()


@pytest.fixture
async def client(scheduler: ScriptedScheduler) -> AsyncIterator[Client]:
    async with serving(scheduler) as address, Client(address=address) as client:
        yield client


def task(task_id: str, state: TaskState = TaskState.READY) -> task_pb2.Task:
    return task_pb2.Task(task_id=task_id, state=task_pb2.Task.State.ValueType(state))


async def test_a_retry_carries_the_same_request_and_its_age(scheduler: ScriptedScheduler, client: Client) -> None:
    scheduler.answers = [
        status(grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN"),
        status(grpc.StatusCode.UNAVAILABLE, "NO_LEADER"),
        service_pb2.CancelTaskResponse(task=task("x", TaskState.CANCELLED)),
    ]
    assert (await client.cancel("x", reason="enough")).state == TaskState.CANCELLED
    (first, fresh), (second, older), (third, oldest) = scheduler.unary
    assert first == second == third
    assert first.request_id
    assert "tercio-age-ms" not in fresh
    assert 0 < int(older["tercio-age-ms"]) < int(oldest["tercio-age-ms"]) < 3_000


async def test_a_refusal_is_raised_at_once_with_all_that_was_said(scheduler: ScriptedScheduler, client: Client) -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="task_id", description="is empty")
    scheduler.answers = [
        status(
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_ARGUMENT",
            "the request is malformed",
            metadata={"hint": "none"},
            details=(error_details_pb2.BadRequest(field_violations=[violation]),),
        )
    ]
    with pytest.raises(InvalidRequestError) as caught:
        await client.get("")
    error = caught.value
    assert error.reason == "INVALID_ARGUMENT"
    assert error.metadata == {"hint": "none"}
    assert error.violations == (("task_id", "is empty"),)
    assert str(error) == "INVALID_ARGUMENT: the request is malformed; task_id: is empty"
    assert len(scheduler.unary) == 1


async def test_each_status_has_its_class(scheduler: ScriptedScheduler, client: Client) -> None:
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(1_500)
    scheduler.answers = [
        status(grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND"),
        status(grpc.StatusCode.FAILED_PRECONDITION, "TASK_STATE_CONFLICT"),
        status(grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_NEARLY_FULL", details=(retry,)),
    ]
    with pytest.raises(NotFoundError):
        await client.explain("x")
    with pytest.raises(ConflictError):
        await client.retry("x")
    with pytest.raises(ExhaustedError) as caught:
        await client.retry("x")
    assert caught.value.retry_after_ms == 1_500


async def test_a_call_gives_up_when_its_time_is_over(client: Client, scheduler: ScriptedScheduler) -> None:
    scheduler.answers = [status(grpc.StatusCode.UNAVAILABLE, "NO_LEADER")] * 50
    request = service_pb2.GetTaskRequest(task_id="x")
    with pytest.raises(UnavailableError, match="NO_LEADER"):
        await client._tasks.unary(lambda stub: stub.GetTask, request, timeout_s=0.3)
    assert 2 <= len(scheduler.unary) < 10


async def test_the_next_address_is_tried_when_one_is_dead(scheduler: ScriptedScheduler) -> None:
    scheduler.answers = [service_pb2.GetTaskResponse(task=task("x"))]
    async with serving(scheduler) as address, Client(address=f"127.0.0.1:1,{address}") as client:
        assert (await client.get("x")).task_id == "x"


async def test_a_listing_reads_every_page(scheduler: ScriptedScheduler, client: Client) -> None:
    scheduler.answers = [
        service_pb2.ListTasksResponse(tasks=[task("a"), task("b")], next_page_token="2", cursor="c"),
        service_pb2.ListTasksResponse(tasks=[task("c")]),
    ]
    found = [item.task_id async for item in client.list(states=[TaskState.READY], labels={"a": "b"})]
    assert found == ["a", "b", "c"]
    assert [request.page_token for request, _ in scheduler.unary] == ["", "2"]
    assert list(scheduler.unary[1][0].filter.states) == [TaskState.READY]


async def test_a_watch_resumes_from_its_cursor(scheduler: ScriptedScheduler, client: Client) -> None:
    scheduler.answers = [service_pb2.ListTasksResponse(cursor="c0")]
    async with client.watch() as watch:
        arriving = anext(watch)
        stream_of = scheduler.watches.next()
        first, stream = await _first(arriving, stream_of, "c1")
        assert first.task_id == "a"
        await stream.send(service_pb2.WatchTasksResponse(cursor="c2"))
        stream.end(status(grpc.StatusCode.UNAVAILABLE, "NOT_LEADER"))
        second, again = await _first(anext(watch), scheduler.watches.next(), "c3", "b")
        assert second.task_id == "b"
        assert stream.requests[0].cursor == "c0"
        assert again.requests[0].cursor == "c2"
        assert again.metadata["tercio-follow"] == "1"


async def test_a_watch_whose_cursor_is_too_old_lists_again(scheduler: ScriptedScheduler, client: Client) -> None:
    async with client.watch(cursor="old") as watch:
        scheduler.answers = [service_pb2.ListTasksResponse(tasks=[task("a")], cursor="c1")]

        async def compacted() -> None:
            (await scheduler.watches.next()).end(status(grpc.StatusCode.OUT_OF_RANGE, "CURSOR_COMPACTED"))

        ending = asyncio.create_task(compacted())
        assert (await anext(watch)).task_id == "a"
        await ending
        second, stream = await _first(anext(watch), scheduler.watches.next(), "c2", "b")
        assert second.task_id == "b"
        assert stream.requests[0].cursor == "c1"


async def test_a_cursor_of_another_service_is_refused(scheduler: ScriptedScheduler, client: Client) -> None:
    async def invalid() -> None:
        (await scheduler.watches.next()).end(status(grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID"))

    ending = asyncio.create_task(invalid())
    async with client.watch(cursor="nonsense") as watch:
        with pytest.raises(InvalidRequestError):
            await anext(watch)
    await ending


async def _first(
    arriving: Awaitable[task_pb2.Task], stream_of: Awaitable[Any], cursor: str, task_id: str = "a"
) -> tuple[task_pb2.Task, Any]:
    waiting = asyncio.ensure_future(arriving)
    stream = await stream_of
    await stream.request()
    await stream.send(service_pb2.WatchTasksResponse(cursor=cursor, tasks=[task(task_id)]))
    return await waiting, stream
