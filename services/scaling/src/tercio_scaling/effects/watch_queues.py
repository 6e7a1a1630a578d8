"""Follows what the scheduler has to do, for as long as the leadership lasts.

It only listens. While the scheduler is away what is known grows old, and what is too old decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration

from tercio.api.scheduler.v1 import queue_pb2
from tercio.api.scheduler.v1 import queue_service_pb2 as pb
from tercio.api.scheduler.v1.queue_service_pb2_grpc import QueueServiceStub
from tercio.rpc.backoff import Backoff
from tercio.rpc.channels import FOLLOW_LEADER, Reconnect
from tercio.rpc.errors import CallError
from tercio.rpc.status import error_of
from tercio_common.machine.host import Host
from tercio_common.peers import Peers, note_refusal
from tercio_scaling.state.metering import LoadSeen, QueueSeen, QueuesSeen

_LEAST_MS: Final = 100
_MOST_MS: Final = 600_000
"""What the scheduler takes."""
_LONGEST_WAIT_MS: Final = 5_000
_log = structlog.get_logger(__name__)


async def watch_queues(
    host: Host, peers: Peers, *, least_ms: int, most_ms: int, take: Callable[[QueuesSeen], None]
) -> None:
    """Give `take` what is seen: after each change, `least_ms` apart, and at least every `most_ms`. Never returns."""
    if not peers.has("scheduler"):
        await asyncio.Event().wait()
    least_ms = max(_LEAST_MS, least_ms)
    most_ms = min(_MOST_MS, max(least_ms, most_ms))
    request = pb.WatchQueueStatsRequest(least_interval=_duration(least_ms), most_interval=_duration(most_ms))
    async with peers.remote("scheduler", QueueServiceStub, host=host) as remote:
        reconnect = Reconnect(remote.route, Backoff(maximum_ms=_LONGEST_WAIT_MS))
        while True:
            tried, error = remote.route.address, None
            call = remote.stub().WatchQueueStats(request, metadata=FOLLOW_LEADER)
            try:
                async for response in call:
                    reconnect.succeeded()
                    take(queues_seen(response.stats))
            except grpc.RpcError as failure:
                error = error_of(failure)
            finally:
                call.cancel()
            _tell(tried, error)
            note_refusal(error, host=host)
            await reconnect.wait(error, tried=tried)


def queues_seen(stats: queue_pb2.QueueStats) -> QueuesSeen:
    """Return what the scheduler says."""
    return QueuesSeen(
        counted_for=stats.counted_for.ToMilliseconds(),
        queues=tuple(map(_queue, stats.queues)),
        loads=tuple(map(_load, stats.agents)),
    )


def _queue(queue: queue_pb2.Queue) -> QueueSeen:
    return QueueSeen(
        task_type=queue.task_type,
        capabilities=tuple(sorted(queue.required_capabilities.items())),
        target=queue.target_agent_id,
        waiting=queue.waiting_count - queue.admitting_count,
        admitting=queue.admitting_count,
        oldest_wait=queue.oldest_wait.ToMilliseconds(),
        accepted=queue.accepted_count,
        succeeded=queue.succeeded_count,
        ran=queue.run_time.ToMilliseconds(),
        responded=queue.response_time.ToMilliseconds(),
    )


def _load(load: queue_pb2.AgentLoad) -> LoadSeen:
    return LoadSeen(load.agent_id, load.held_count, load.takes_work, load.concurrency)


def _tell(address: str, error: CallError | None) -> None:
    _log.info("scheduler_away", address=address, error=str(error), effect="what is too old scales nothing")


def _duration(milliseconds: int) -> Duration:
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)
