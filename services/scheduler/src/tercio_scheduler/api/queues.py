"""QueueService: what waits, and who could do it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc

from tercio.api.scheduler.v1 import queue_pb2
from tercio.api.scheduler.v1 import queue_service_pb2 as pb
from tercio.api.scheduler.v1 import queue_service_pb2_grpc as rpc
from tercio_common.machine.host import Host
from tercio_common.machine.protocol import Moment
from tercio_scheduler import metrics
from tercio_scheduler.effects.count_queues import QueueCounter
from tercio_scheduler.state.machine import SchedulerMachine
from tercio_scheduler.state.queue_stats import QueueStats, queue_stats
from tercio_scheduler.state.session import SchedulerSession
from tercio_scheduler.translate.bounds import Bounds
from tercio_scheduler.translate.queues import stats_message

Context = grpc.aio.ServicerContext[Any, Any]
_LEAST_MS: Final = 1_000
_MOST_MS: Final = 10_000
_MINUTE_MS: Final = 60_000
_WATCHES: Final = metrics.STREAMS.labels("queues")


class QueueServicer(rpc.QueueServiceServicer):
    """See the contract."""

    def __init__(self, host: Host, *, counter: QueueCounter) -> None:
        self._host, self._counter = host, counter

    async def GetQueueStats(self, request: pb.GetQueueStatsRequest, context: Context) -> pb.GetQueueStatsResponse:
        return pb.GetQueueStatsResponse(stats=await self._look())

    async def WatchQueueStats(
        self, request: pb.WatchQueueStatsRequest, context: Context
    ) -> AsyncIterator[pb.WatchQueueStatsResponse]:
        least_ms, most_ms = _intervals(request)
        with _WATCHES.track_inprogress():
            while True:
                changed = asyncio.ensure_future(self._host.feed.subscribe(None).changed())
                try:
                    yield pb.WatchQueueStatsResponse(stats=await self._look())
                    await self._host.clock.sleep_ms(least_ms)
                    later = asyncio.ensure_future(self._host.clock.sleep_ms(most_ms - least_ms))
                    try:
                        await asyncio.wait({changed, later}, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        later.cancel()
                finally:
                    changed.cancel()

    async def _look(self) -> queue_pb2.QueueStats:
        self._counter.begin()

        def look(machine: SchedulerMachine, session: SchedulerSession, at: Moment) -> QueueStats:
            return queue_stats(machine.tables, session, at.now)

        return stats_message(await self._host.read(look))


def _intervals(request: pb.WatchQueueStatsRequest) -> tuple[int, int]:
    """Return the shortest and the longest time between two messages, in ms; raises INVALID_ARGUMENT."""
    found = Bounds()
    least_ms, most_ms = _LEAST_MS, _MOST_MS
    if request.HasField("least_interval"):
        least_ms = found.check_duration("least_interval", request.least_interval, least_ms=100, most_ms=_MINUTE_MS)
    if request.HasField("most_interval"):
        most_ms = found.check_duration(
            "most_interval", request.most_interval, least_ms=least_ms, most_ms=10 * _MINUTE_MS
        )
    found.raise_if_any()
    return least_ms, max(least_ms, most_ms)
