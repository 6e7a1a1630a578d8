"""WatchTasks: ordered, gapless, resumable."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from support.registry import info_of, reason_of
from support.scheduler_service import Scheduler, Watch, running_scheduler
from tercio.api.scheduler.v1 import task_pb2
from tercio.api.scheduler.v1 import task_service_pb2 as api
from tercio_common.ids import encode_cursor
from tercio_common.journal.memory import MemoryStore
from tercio_common.rpc.watching import BOOKMARK_MS
from tercio_common.settings import HostSettings
from tercio_common.testing.manual_clock import ManualClock

LIFE = [("t", "READY"), ("t", "OFFERED"), ("t", "RUNNING"), ("t", "SUCCEEDED")]


async def live(scheduler: Scheduler, task_id: str = "t") -> None:
    """Let one task run from end to end."""
    await scheduler.submit(task_id)
    async with scheduler.agent() as agent:
        (attempt,) = await agent.has(1)
        await agent.start(attempt)
        await agent.succeed(attempt)


async def test_every_change_is_seen_in_order(scheduler: Scheduler) -> None:
    watch = await Watch(scheduler).standing()
    await live(scheduler)
    assert await watch.changes(4) == LIFE


async def test_a_list_gives_the_cursor_from_which_nothing_is_missed(scheduler: Scheduler) -> None:
    await scheduler.submit("before")
    cursor = (await scheduler.tasks.ListTasks(api.ListTasksRequest())).cursor
    await scheduler.submit("after")
    assert await (await Watch(scheduler, cursor).standing()).changes(1) == [("after", "READY")]


async def test_a_watch_resumes_after_each_event(scheduler: Scheduler) -> None:
    watch = await Watch(scheduler).standing()
    await live(scheduler)
    for place in range(4):
        assert await watch.changes(1) == [LIFE[place]]
        watch.cut()
        watch = await Watch(scheduler, watch.cursor).standing()


async def test_a_filter_shows_what_matches_after_the_change(scheduler: Scheduler) -> None:
    watch = await Watch(scheduler, states=[task_pb2.Task.STATE_SUCCEEDED]).standing()
    await live(scheduler, "one")
    await live(scheduler, "two")
    assert await watch.changes(2) == [("one", "SUCCEEDED"), ("two", "SUCCEEDED")]


async def test_bookmarks_move_a_quiet_reader_on(scheduler: Scheduler, clock: ManualClock) -> None:
    watch = await Watch(scheduler, task_type="nothing").standing()
    first = watch.cursor
    await scheduler.submit("t")
    waiting = asyncio.ensure_future(watch.message())
    await clock.advance(BOOKMARK_MS)
    assert await waiting == []
    assert watch.cursor != first
    resumed = await Watch(scheduler, watch.cursor).standing()
    await scheduler.submit("next")
    assert await resumed.changes(1) == [("next", "READY")]


async def test_a_large_change_is_split_over_messages(scheduler: Scheduler) -> None:
    watch = await Watch(scheduler).standing()
    labels = {f"{number:0128}": "x" * 128 for number in range(16)}
    for part in range(2):
        await scheduler.submit(*[f"t{part}-{number}" for number in range(500)], labels=labels)
    messages = [await watch.message() for _ in range(2)]
    while sum(map(len, messages)) < 1000:
        messages.append(await watch.message())
    assert len(messages) > 2
    assert len({task_id for message in messages for task_id, _ in message}) == 1000


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "ä",
        encode_cursor("agents-at", shard=0, position="1"),
        encode_cursor("tasks-at", shard=0, position="-1"),
        encode_cursor("tasks-at", shard=7, position="1"),
        encode_cursor("tasks-at", shard=0, position="1" * 30),
    ],
)
async def test_a_cursor_of_somebody_else_is_invalid(scheduler: Scheduler, cursor: str) -> None:
    assert await refused(scheduler, cursor) == "CURSOR_INVALID"


async def test_a_cursor_of_the_future_is_told_to_list_again(scheduler: Scheduler) -> None:
    assert await refused(scheduler, encode_cursor("tasks-at", shard=0, position="999999")) == "CURSOR_COMPACTED"


async def test_a_cursor_that_is_too_old_is_told_so(store: MemoryStore, clock: ManualClock) -> None:
    settings = HostSettings(feed_bytes=1 << 20, lag_bytes=64 * 1024)
    async with running_scheduler(store, clock=clock, host_settings=settings) as scheduler:
        cursor = (await scheduler.tasks.ListTasks(api.ListTasksRequest())).cursor
        for number in range(30):
            await scheduler.submit(f"t{number}", payload=bytes(60_000))
        assert await refused(scheduler, cursor) == "CURSOR_COMPACTED"


async def test_a_watch_goes_on_after_a_change_of_leader(store: MemoryStore, clock: ManualClock) -> None:
    async with running_scheduler(store, clock=clock) as before:
        watch = await Watch(before).standing()
        await before.submit("one")
        assert await watch.changes(1) == [("one", "READY")]
        await before.submit("two")
        await before.service.host.drain()
        await asyncio.wait({before.running}, timeout=10)
    async with running_scheduler(store, clock=clock) as after:
        assert await (await Watch(after, watch.cursor).standing()).changes(1) == [("two", "READY")]


async def test_the_end_of_a_leadership_tells_where_to_resume(scheduler: Scheduler) -> None:
    call: Any = scheduler.tasks.WatchTasks(api.WatchTasksRequest())
    first = await call.read()
    await scheduler.service.host.drain()
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await call.read()
    assert reason_of(ended.value) == "NO_LEADER"
    assert info_of(ended.value).metadata["cursor"] == first.cursor


async def refused(scheduler: Scheduler, cursor: str) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await Watch(scheduler, cursor).message()
    return reason_of(caught.value)
