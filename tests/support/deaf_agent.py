"""An agent that only seems to live: it beats and renews its leases, but hears nothing on its Work stream until told to.

So does a process whose runner is stuck while its connections are kept up beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import grpc

from support.registry import Heartbeats, Registry
from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.api.scheduler.v1.work_service_pb2_grpc import WorkServiceStub

_RENEW_S = 0.05


class DeafAgent:
    """Beats and renews from the start; works once `hears` is set."""

    def __init__(self, agent_id: str, *, registry: Registry, scheduler_port: int) -> None:
        """Use `deaf_agent`."""
        self._agent_id = agent_id
        self._registry = registry
        self._port = scheduler_port
        self.hears = asyncio.Event()
        self.done: list[str] = []
        """Tasks that it was given and did, canaries among them."""

    async def run(self) -> None:
        """Live, once registered."""
        await asyncio.gather(self._beat(), self._work())

    async def _beat(self) -> None:
        stream = Heartbeats(self._registry)
        while True:
            await stream.beat((self._agent_id, 1))
            await asyncio.sleep(_RENEW_S)

    async def _work(self) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._port}") as channel:
            while True:
                with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
                    await self._work_on_one_stream(WorkServiceStub(channel).Work())
                await asyncio.sleep(_RENEW_S)

    async def _work_on_one_stream(self, call: Any) -> None:
        hello = work_pb2.Hello(
            agent_id=self._agent_id, instance_id=b"1" * 16, concurrency=1, session_id=os.urandom(16).hex()
        )
        await call.write(work_pb2.WorkRequest(hello=hello, credit=1))
        while not self.hears.is_set():
            await call.write(work_pb2.WorkRequest(renew=True))
            await asyncio.sleep(_RENEW_S)
        number = 0
        while True:
            response = await call.read()
            if not isinstance(response, work_pb2.WorkResponse):
                return
            offered = response.assignments
            if offered.task_ids:
                number += 1
                columns = work_pb2.AttemptColumns(
                    task_ids=offered.task_ids, numbers=offered.numbers, epochs=[response.epoch]
                )
                frame = work_pb2.WorkFrame(ended=columns, run_micros=[1] * len(offered.task_ids))
                await call.write(work_pb2.WorkRequest(frame_number=number, frame=frame))
                self.done += offered.task_ids


@contextlib.asynccontextmanager
async def deaf_agent(agent_id: str, *, registry: Registry, scheduler_port: int) -> AsyncIterator[DeafAgent]:
    """Register one, and run it."""
    await registry.register(agent_id)
    agent = DeafAgent(agent_id, registry=registry, scheduler_port=scheduler_port)
    running = asyncio.create_task(agent.run())
    try:
        yield agent
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
