"""One scheduler with 1,000 connected agents: how long they take to connect, and what a task costs beside few agents.

Each agent has a Work stream of its own and completes at once what it is given; the streams share connections. The
agents and the client share this process, so only the scheduler's own processor time is judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from itertools import repeat, takewhile
from typing import Any, Final

import grpc

from benchmarks.bars import Bar
from benchmarks.servers import Bench, cpu_of, memory_of, point_at
from tercio import Client
from tercio.api.scheduler.v1 import work_service_pb2 as pb
from tercio.api.scheduler.v1.work_service_pb2_grpc import WorkServiceStub
from tercio_common.testing.chaos.processes import ServerProcess

_STREAMS_A_CHANNEL: Final = 50
_SLOTS: Final = 2_048
"""Of all agents together, so that few and many can take equally much."""
_RENEW_S: Final = 5.0
_FEW: Final = 8
_IN_FLIGHT: Final = 10_000


class StreamingAgent:
    """One Work stream that completes what it is given."""

    def __init__(self, agent_id: str, stub: Any, *, slots: int) -> None:
        """Work through `stub`, which others share."""
        self._agent_id, self._slots = agent_id, slots
        self._call = stub.Work()
        self._frames = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        """Say hello, and return once the scheduler has answered."""
        hello = pb.Hello(
            agent_id=self._agent_id,
            instance_id=os.urandom(16),
            concurrency=self._slots,
            session_id=os.urandom(16).hex(),
        )
        await self._call.write(pb.WorkRequest(hello=hello, credit=self._slots))
        await self._receive(await self._call.read())
        self._tasks = [asyncio.create_task(self._complete()), asyncio.create_task(self._renew())]

    async def close(self) -> None:
        """Break the stream."""
        self._call.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _complete(self) -> None:
        while (response := await self._call.read()) is not grpc.aio.EOF:
            await self._receive(response)

    async def _receive(self, response: pb.WorkResponse) -> None:
        offered = response.assignments
        if not offered.task_ids:
            return
        count = len(offered.task_ids)
        ended = pb.AttemptColumns(task_ids=offered.task_ids, numbers=offered.numbers, epochs=[response.epoch])
        frame = pb.WorkFrame(ended=ended, results=[b""] * count, run_micros=[1] * count)
        self._frames += 1
        await self._call.write(pb.WorkRequest(frame_number=self._frames, frame=frame))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            await self._call.write(pb.WorkRequest(renew=True))


async def bars(bench: Bench, *, many: int, seconds: float) -> list[Bar]:
    """Measure a task's cost with few agents, then with many on the same scheduler."""
    scheduler = await bench.add("tercio_scheduler")
    point_at(scheduler)
    async with Client() as client:
        async with _agents(scheduler, _FEW):
            small = await _micros_a_task(client, scheduler, seconds=seconds)
        before, began = memory_of(scheduler), time.perf_counter()
        async with _agents(scheduler, many):
            connected, held = time.perf_counter() - began, memory_of(scheduler) - before
            large = await _micros_a_task(client, scheduler, seconds=seconds)
    return [
        Bar(
            name=f"scheduler: {many:,} Work streams connected",
            value=connected,
            unit="s",
            details={"kB a stream": held / many / 1000},
        ),
        Bar(
            name=f"scheduler: CPU a task, {many:,} agents ÷ {_FEW} agents of as many slots",
            value=large / small,
            details={"µs with few": small, "µs with many": large},
        ),
    ]


async def _micros_a_task(client: Client, scheduler: ServerProcess, *, seconds: float) -> float:
    count, cpu, end = 0, cpu_of(scheduler), time.perf_counter() + seconds
    payloads = takewhile(lambda _: time.perf_counter() < end, repeat(b""))
    async for _ in client.map("noop", payloads, in_flight=_IN_FLIGHT):
        count += 1
    return (cpu_of(scheduler) - cpu) / count * 1e6


@contextlib.asynccontextmanager
async def _agents(scheduler: ServerProcess, count: int) -> AsyncIterator[None]:
    channels = [
        grpc.aio.insecure_channel(scheduler.address, options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(-(-count // _STREAMS_A_CHANNEL))
    ]
    stubs: list[Any] = [WorkServiceStub(channel) for channel in channels]
    slots = max(1, _SLOTS // count)
    agents = [
        StreamingAgent(f"agent-{count}-{number}", stubs[number // _STREAMS_A_CHANNEL], slots=slots)
        for number in range(count)
    ]
    try:
        await asyncio.gather(*(agent.connect() for agent in agents))
        yield
    finally:
        await asyncio.gather(*(agent.close() for agent in agents))
        for channel in channels:
            await channel.close()
