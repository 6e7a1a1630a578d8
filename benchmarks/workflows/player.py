"""Plays a workflow through the public SDK on a fleet that it starts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fleet import running_fleet as running_processes
from benchmarks.workflows.agents import Span, sleeping_agent
from benchmarks.workflows.plans import TASK_TYPE, Submission
from tercio import Client
from tercio.testing import running_fleet as running_in_memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What happened; nanoseconds since 1970.

    Attributes:
        begun_ns: before the first request.
        accepted_ns: when the last plan was durable.
        ended_ns: when the client had the last result.
        spans: when each submitted task ran.
        offered_ns: when each submitted task was offered to its agent, to the millisecond.
    """

    begun_ns: int
    accepted_ns: int
    ended_ns: int
    spans: Mapping[str, Span]
    offered_ns: Mapping[str, int]


async def play(client: Client, submission: Submission) -> Played:
    """Submit every plan and wait for every task.

    Raises:
        TercioError: a plan was refused, or a task ended without success.
    """
    begun_ns = time.time_ns()
    plan_ids = [(await client.create_plan(plan)).plan_id for plan in submission.plans]
    accepted_ns = time.time_ns()
    handles = [client.handle(task_id) for task_id in submission.parents]
    results = await asyncio.gather(*(handle.result() for handle in handles))
    ended_ns = time.time_ns()
    spans = {handle.task_id: Span.decoded(result) for handle, result in zip(handles, results, strict=True)}
    offered_ns = {
        task.task_id: task.offer_time.ToNanoseconds()
        for plan_id in plan_ids
        async for task in client.list(plan_id=plan_id, page_size=1_000)
    }
    return Played(begun_ns=begun_ns, accepted_ns=accepted_ns, ended_ns=ended_ns, spans=spans, offered_ns=offered_ns)


@contextlib.asynccontextmanager
async def fleet(*, slots: int, in_memory: bool, folder: str | None = None) -> AsyncIterator[Client]:
    """Yield a client of a fleet whose agents are all connected and have each run something.

    Args:
        slots: how many agents with one slot each.
        in_memory: every service and agent in this process on the journal in memory, instead of processes with etcd.
        folder: where etcd writes; by default the system's temporary folder.
    """
    async with contextlib.AsyncExitStack() as stack:
        if in_memory:
            services = await stack.enter_async_context(running_in_memory())
            agents = (sleeping_agent(slot, address=services.address) for slot in range(slots))
            await stack.enter_async_context(services.running(*agents))
            address = services.address
        else:
            log_folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tercio-bench-", dir=folder)))
            address = stack.enter_context(
                running_processes(log_folder, agents=slots, concurrency=1, agents_module="benchmarks.workflows.agents")
            ).address
        client = await stack.enter_async_context(Client(address=address))
        await _all_connected(client, slots)
        yield client


async def _all_connected(client: Client, slots: int) -> None:
    """Wait until a task pinned to each slot has run."""
    run = os.urandom(6).hex()
    pinned = (
        client.submit(TASK_TYPE, "0", task_id=f"{run}/warm-up-{slot}", target_agent_id=f"slot-{slot}")
        for slot in range(slots)
    )
    for handle in await asyncio.gather(*pinned):
        await handle.result()
