"""Queues and loads as messages."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from tercio.api.scheduler.v1 import queue_pb2 as pb
from tercio_scheduler.state.queue_stats import Load, Queue, QueueStats


def stats_message(stats: QueueStats) -> pb.QueueStats:
    """Return a look at the queues as a message."""
    return pb.QueueStats(
        counted_for=_duration(stats.counted_for),
        queues=map(_queue, stats.queues),
        agents=map(_load, stats.agents),
    )


def _queue(queue: Queue) -> pb.Queue:
    requirement, counted = queue.requirement, queue.counted
    return pb.Queue(
        task_type=requirement.task_type,
        required_capabilities=dict(requirement.capabilities),
        target_agent_id=requirement.target_agent_id,
        waiting_count=queue.waiting,
        admitting_count=queue.admitting,
        oldest_wait=_duration(queue.oldest_wait),
        held_count=queue.held,
        accepted_count=counted.accepted,
        succeeded_count=counted.succeeded,
        run_time=_duration(counted.ran),
        response_time=_duration(counted.responded),
    )


def _load(load: Load) -> pb.AgentLoad:
    agent = load.agent
    return pb.AgentLoad(
        agent_id=agent.agent_id, concurrency=agent.concurrency, held_count=load.held, takes_work=agent.takes_work
    )


def _duration(milliseconds: int) -> Duration:
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)
