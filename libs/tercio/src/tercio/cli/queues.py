"""`tercio queues`: what waits for an agent, and for how long."""

from __future__ import annotations

from datetime import timedelta

import typer
from rich.markup import escape

from tercio.api.scheduler.v1 import queue_pb2, queue_service_pb2
from tercio.cli import connect
from tercio.cli.connect import CALL_TIMEOUT_S, Address, Fleet, Output
from tercio.cli.output import Column, Format, View, show_list

app = typer.Typer(help="See how much work waits.", no_args_is_help=True)

VIEW: View[queue_pb2.Queue] = View(
    name=lambda queue: queue.task_type,
    nothing="nothing waits and nothing runs",
    columns=(
        Column("TYPE", lambda queue: escape(queue.task_type)),
        Column("NEEDS", lambda queue: escape(_needs(queue))),
        Column("WAITING", lambda queue: str(queue.waiting_count)),
        Column("ADMITTING", lambda queue: str(queue.admitting_count), wide=True),
        Column("OLDEST", lambda queue: _seconds(queue.oldest_wait.ToTimedelta()) if queue.waiting_count else "-"),
        Column("HELD", lambda queue: str(queue.held_count)),
        Column("ACCEPTED", lambda queue: str(queue.accepted_count), wide=True),
        Column("SUCCEEDED", lambda queue: str(queue.succeeded_count), wide=True),
        Column("MEAN RUN", lambda queue: _mean(queue.run_time.ToTimedelta(), queue.succeeded_count), wide=True),
        Column("RESPONSE", lambda queue: _mean(queue.response_time.ToTimedelta(), queue.succeeded_count), wide=True),
    ),
)


@app.command("list", epilog="Example: tercio queues list -o wide")
def list_(output: Output = Format.TABLE, address: Address = None) -> None:
    """List queues: tasks that ask the same of their agent, those with the most waiting first."""

    async def work(fleet: Fleet) -> queue_pb2.QueueStats:
        request = queue_service_pb2.GetQueueStatsRequest()
        answer = await fleet.queues.unary(lambda stub: stub.GetQueueStats, request, timeout_s=CALL_TIMEOUT_S)
        return answer.stats

    show_list(connect.run(address, work).queues, VIEW, output)


def _needs(queue: queue_pb2.Queue) -> str:
    levels = [f"{name}={level}" for name, level in sorted(queue.required_capabilities.items())]
    return ",".join([*levels, *([f"agent {queue.target_agent_id}"] if queue.target_agent_id else [])]) or "-"


def _mean(total: timedelta, count: int) -> str:
    return _seconds(total / count) if count else "-"


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.1f} s"
