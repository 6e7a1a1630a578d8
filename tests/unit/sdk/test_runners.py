"""Attempts run in long-lived tasks, and no handler can tell."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.attempts import Attempt, Epoch, Stage, Stop
from tercio.context import BlockingContext, Context
from tercio.handlers import Handlers
from tercio.runners import Runners


class Recorded:
    """Reports that a test looks at."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.attempts: list[Attempt] = []
        self.started_names: list[str] = []
        self.any_started = asyncio.Event()
        self._changed = asyncio.Event()

    def started(self, attempt: Attempt) -> None:
        self.started_names.append(attempt.task_id)
        self.any_started.set()

    def ended(self, attempt: Attempt) -> None:
        self.names.append(attempt.task_id)
        self.attempts.append(attempt)
        self._changed.set()

    def progress(self, attempt: Attempt, percent: int) -> None: ...

    def checkpoint(self, attempt: Attempt, data: bytes) -> Awaitable[None]:
        raise NotImplementedError

    async def count(self, wanted: int) -> list[Attempt]:
        async with asyncio.timeout(1.5):
            while len(self.attempts) < wanted:
                self._changed.clear()
                await self._changed.wait()
        return self.attempts


def attempts(*names: str, task_type: str = "t", timeout_ms: int = 0) -> list[Attempt]:
    return [Attempt(name, 1, Epoch(1, 1), task_type=task_type, timeout_ms=timeout_ms) for name in names]


@asynccontextmanager
async def runners_for(
    function: Callable[..., object], *, concurrency: int = 1, grace_s: float = 60
) -> AsyncIterator[tuple[Runners, Recorded]]:
    handlers = Handlers()
    handlers.add("t", function)
    recorded = Recorded()
    runners = Runners(handlers, recorded, concurrency=concurrency, grace_s=lambda: grace_s)
    try:
        yield runners, recorded
    finally:
        await runners.close()


async def test_handlers_that_never_wait_run_without_a_task_each(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a loaded machine a slice may be over before the last handler began.
    monkeypatch.setattr("tercio.runners._SLICE_NS", 10**12)
    tasks = set()

    async def handler(task: Context) -> None:
        tasks.add(asyncio.current_task())

    async with runners_for(handler, concurrency=4) as (runners, recorded):
        runners.offer(attempts(*map(str, range(100))))
        await asyncio.sleep(0)
        assert recorded.names == [str(number) for number in range(100)], "all ended in one loop turn, in order"
        assert len(tasks) == 1
        assert runners.is_quiet


async def test_no_more_than_concurrency_run_at_once() -> None:
    running = most = 0

    async def handler(task: Context) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    async with runners_for(handler, concurrency=3) as (runners, recorded):
        runners.offer(attempts(*map(str, range(20))))
        await recorded.count(20)
        assert most == 3


async def test_a_handler_may_use_timeouts_and_task_groups() -> None:
    async def handler(task: Context) -> str:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(5)
        async with asyncio.TaskGroup() as group:
            part = group.create_task(asyncio.sleep(0, "part"))
        return part.result()

    async with runners_for(handler) as (runners, recorded):
        runners.offer(attempts("a", "b"))
        assert [attempt.result for attempt in await recorded.count(2)] == [b"part", b"part"]


async def test_a_handler_does_not_see_what_another_set_in_its_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def handler(task: Context) -> str:
        before = variable.get()
        variable.set(task.task_id)
        await asyncio.sleep(0)
        return f"{before},{variable.get()}"

    async with runners_for(handler) as (runners, recorded):
        runners.offer(attempts("a", "b"))
        assert [attempt.result for attempt in await recorded.count(2)] == [b"unset,a", b"unset,b"]


async def test_a_cancelled_attempt_does_not_harm_the_next_one_of_its_runner() -> None:
    async def handler(task: Context) -> None:
        if task.task_id == "long":
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        assert asyncio.current_task().cancelling() == 0

    async with runners_for(handler) as (runners, recorded):
        long, after = attempts("long", "after")
        runners.offer([long, after])
        await asyncio.sleep(0)
        runners.stop(long, Stop.CANCELLED)
        await recorded.count(2)
        assert [attempt.outcome for attempt in recorded.attempts] == [
            work_pb2.OUTCOME_CANCELLED,
            work_pb2.OUTCOME_SUCCEEDED,
        ]


async def test_a_handler_may_finish_although_it_was_cancelled() -> None:
    async def handler(task: Context) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert task.cancelled.is_set()
            return "saved"
        return "never"

    async with runners_for(handler) as (runners, recorded):
        (attempt,) = attempts("a")
        runners.offer([attempt])
        await asyncio.sleep(0)
        runners.stop(attempt, Stop.CANCELLED)
        await recorded.count(1)
        assert (attempt.outcome, attempt.result) == (work_pb2.OUTCOME_SUCCEEDED, b"saved")


async def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    async def handler(task: Context) -> None:
        raise asyncio.CancelledError

    async with runners_for(handler) as (runners, recorded):
        runners.offer(attempts("a", "b"))
        assert {attempt.outcome for attempt in await recorded.count(2)} == {work_pb2.OUTCOME_FAILED}


async def test_started_is_told_only_of_what_runs_for_20_ms() -> None:
    go_on = asyncio.Event()

    async def handler(task: Context) -> None:
        if task.task_id == "long":
            await go_on.wait()

    async with runners_for(handler, concurrency=2) as (runners, recorded):
        runners.offer(attempts("short", "long", "short-too"))
        await recorded.count(2)
        assert recorded.started_names == []
        await recorded.any_started.wait()
        go_on.set()
        await recorded.count(3)
        assert recorded.started_names == ["long"]


async def test_a_plain_handler_that_overruns_is_reported_at_once_and_its_late_result_is_dropped() -> None:
    go_on = threading.Event()

    def handler(task: BlockingContext) -> str:
        assert task.cancelled.wait(5)
        go_on.wait(5)
        return "late"

    async with runners_for(handler) as (runners, recorded):
        (attempt,) = attempts("a", timeout_ms=30)
        runners.offer([attempt])
        await recorded.count(1)
        assert attempt.failure is not None
        assert attempt.failure.reason == "ATTEMPT_TIMEOUT"
        go_on.set()
        runners.offer(attempts("b", timeout_ms=30))
        await recorded.count(2)
        assert recorded.names == ["a", "b"]


async def test_a_plain_handler_that_hangs_does_not_keep_others_from_running() -> None:
    go_on = threading.Event()

    def handler(task: BlockingContext) -> str:
        if task.task_id.startswith("hangs"):
            go_on.wait(5)
            raise ValueError("nobody listens any more")
        return "done"

    async with runners_for(handler, concurrency=2) as (runners, recorded):
        runners.offer(attempts("hangs", "hangs too", "next", "last", timeout_ms=30))
        try:
            await recorded.count(4)
        finally:
            go_on.set()
        assert {attempt.task_id: attempt.outcome for attempt in recorded.attempts} == {
            "hangs": work_pb2.OUTCOME_FAILED,
            "hangs too": work_pb2.OUTCOME_FAILED,
            "next": work_pb2.OUTCOME_SUCCEEDED,
            "last": work_pb2.OUTCOME_SUCCEEDED,
        }


@pytest.mark.parametrize(
    ("why", "outcome", "reason"),
    [
        pytest.param(Stop.CANCELLED, work_pb2.OUTCOME_CANCELLED, None, id="cancelled"),
        pytest.param(Stop.TIMED_OUT, work_pb2.OUTCOME_FAILED, "ATTEMPT_TIMEOUT", id="timed out"),
    ],
)
async def test_a_handler_that_ignores_its_cancellation_is_abandoned_after_a_grace(
    why: Stop, outcome: work_pb2.Outcome.ValueType, reason: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = asyncio.Event()

    async def handler(task: Context) -> str:
        while task.task_id == "stubborn" and not go_on.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await go_on.wait()
        return task.task_id

    with caplog.at_level(logging.WARNING, logger="tercio.runners"):
        async with runners_for(handler, grace_s=0.01) as (runners, recorded):
            stubborn, following = attempts("stubborn", "next")
            runners.offer([stubborn, following])
            await recorded.any_started.wait()
            runners.stop(stubborn, why)
            await recorded.count(2)
            go_on.set()
            runners.offer(attempts("last"))
            await recorded.count(3)
    assert recorded.names == ["stubborn", "next", "last"]
    assert [attempt.outcome for attempt in recorded.attempts[1:]] == [work_pb2.OUTCOME_SUCCEEDED] * 2
    assert stubborn.outcome == outcome
    assert (stubborn.failure and stubborn.failure.reason) == reason
    assert stubborn.result == b"", "what it returns late is of no interest"
    assert "stubborn" in caplog.text


async def test_a_plain_handler_that_ignores_its_cancellation_is_abandoned_after_a_grace() -> None:
    go_on = threading.Event()

    def handler(task: BlockingContext) -> str:
        if task.task_id == "hangs":
            go_on.wait(5)
        return "late"

    async with runners_for(handler, grace_s=0.01) as (runners, recorded):
        hangs, following = attempts("hangs", "next")
        runners.offer([hangs, following])
        await recorded.any_started.wait()
        runners.stop(hangs, Stop.CANCELLED)
        try:
            await recorded.count(2)
        finally:
            go_on.set()
        assert [attempt.outcome for attempt in recorded.attempts] == [
            work_pb2.OUTCOME_CANCELLED,
            work_pb2.OUTCOME_SUCCEEDED,
        ]


async def test_what_was_not_started_can_be_given_back() -> None:
    async def handler(task: Context) -> None:
        await asyncio.Event().wait()

    async with runners_for(handler) as (runners, recorded):
        runs, waits = attempts("runs", "waits")
        runners.offer([runs, waits])
        await asyncio.sleep(0)
        runners.give_back(runs)
        runners.give_back(waits)
        assert recorded.names == ["waits"]
        assert waits.outcome == work_pb2.OUTCOME_RETURNED
        assert runs.stage is Stage.RUNNING


async def test_a_result_over_64_kb_fails_for_good() -> None:
    async def handler(task: Context) -> bytes:
        return b"x" * 65_537

    async with runners_for(handler) as (runners, recorded):
        runners.offer(attempts("a"))
        (attempt,) = await recorded.count(1)
        assert attempt.failure is not None
        assert (attempt.failure.reason, attempt.failure.permanent) == ("PAYLOAD_TOO_LARGE", True)


async def test_many_short_handlers_leave_the_loop_its_turns() -> None:
    turns = 0

    async def handler(task: Context) -> None:
        for _ in range(2_000):
            pass

    async with runners_for(handler) as (runners, recorded):
        runners.offer(attempts(*map(str, range(1_000))))
        while len(recorded.names) < 1_000:
            turns += 1
            await asyncio.sleep(0)
        assert turns > 2
