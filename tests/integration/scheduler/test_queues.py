"""QueueService: what waits, who could do it, and how soon a watch says so."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from support.edge import failure
from support.scheduler_service import Scheduler
from tercio.api.scheduler.v1 import queue_pb2
from tercio.api.scheduler.v1 import queue_service_pb2 as pb
from tercio.api.scheduler.v1.queue_service_pb2_grpc import QueueServiceStub
from tercio_common.testing.eventually import eventually
from tercio_common.testing.manual_clock import ManualClock


@pytest.fixture
async def queues(scheduler: Scheduler):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{scheduler.port}") as channel:
        yield QueueServiceStub(channel)


async def stats(queues: QueueServiceStub) -> queue_pb2.QueueStats:
    return (await queues.GetQueueStats(pb.GetQueueStatsRequest())).stats


async def test_what_waits_runs_and_ended_is_told_by_queue(scheduler: Scheduler, queues: QueueServiceStub) -> None:
    await stats(queues)  # from here on it is counted
    await scheduler.submit("a", "b", task_type="echo", required_capabilities={"python": 2})
    (queue,) = (await stats(queues)).queues
    assert (queue.task_type, dict(queue.required_capabilities), queue.waiting_count) == ("echo", {"python": 2}, 2)
    async with scheduler.agent(capabilities={"python": 3}) as agent:
        first, *_ = await agent.has(1)
        await agent.succeed(first)

        async def is_counted() -> bool:
            seen = await stats(queues)
            (queue,) = seen.queues
            return queue.accepted_count == 2 and queue.succeeded_count == 1 and len(seen.agents) == 1

        await eventually(is_counted)


async def test_a_watch_shows_a_change_soon_and_keeps_its_distance(
    scheduler: Scheduler, queues: QueueServiceStub, clock: ManualClock
) -> None:
    request = pb.WatchQueueStatsRequest(least_interval=Duration(nanos=100_000_000), most_interval=Duration(seconds=600))
    call = queues.WatchQueueStats(request)
    async with asyncio.timeout(10):
        assert list((await call.read()).stats.queues) == []
        await scheduler.submit("a")
        message = asyncio.ensure_future(call.read())
        await clock.advance(99)
        assert not message.done()
        await clock.advance(1)
        (queue,) = (await message).stats.queues
        assert queue.waiting_count == 1
    call.cancel()


async def test_a_watch_without_changes_is_heard_of_now_and_then(queues: QueueServiceStub, clock: ManualClock) -> None:
    call = queues.WatchQueueStats(pb.WatchQueueStatsRequest())
    async with asyncio.timeout(10):
        await call.read()
        message = asyncio.ensure_future(call.read())
        await clock.advance(9_999)
        assert not message.done()
        await clock.advance(1)
        await message
    call.cancel()


async def test_intervals_out_of_their_bounds_are_refused(queues: QueueServiceStub) -> None:
    request = pb.WatchQueueStatsRequest(least_interval=Duration(nanos=1), most_interval=Duration(seconds=601))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await queues.WatchQueueStats(request).read()
    refused = failure(caught.value)
    assert refused.reason == "INVALID_ARGUMENT"
    assert [field for field, _ in refused.violations] == ["least_interval", "most_interval"]
