"""An agent that does nothing by itself: what it says on the Work stream, and when, is the test's choice."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import grpc

from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.api.scheduler.v1.work_service_pb2_grpc import WorkServiceStub
from tercio.api.type.v1 import epoch_pb2

_PATIENCE_S = 10.0


class Assigned(NamedTuple):
    """One attempt as it was offered."""

    task_id: str
    number: int
    epoch: epoch_pb2.Epoch


class RawAgent:
    """One Work stream."""

    def __init__(self, call: Any, *, agent_id: str, instance_id: bytes) -> None:
        """Use `raw_agent`."""
        self._call = call
        self._agent_id = agent_id
        self._instance_id = instance_id
        self._frames = 0
        self._session = os.urandom(16).hex()
        self._assigned: list[Assigned] = []
        self.committed = 0
        self.cancelled: list[Assigned] = []

    async def hello(self, *, concurrency: int = 1, started: Sequence[Assigned] = ()) -> None:
        """Introduce a process that holds nothing but these."""
        await self._call.write(
            work_pb2.WorkRequest(
                hello=work_pb2.Hello(
                    agent_id=self._agent_id,
                    instance_id=self._instance_id,
                    concurrency=concurrency,
                    session_id=self._session,
                    started=_columns(*started),
                )
            )
        )

    async def next_attempt(self) -> Assigned:
        """Wait for the next offered attempt."""
        while not self._assigned:
            await self._receive()
        return self._assigned.pop(0)

    async def start(self, attempt: Assigned) -> None:
        """Report that the attempt runs, and wait until the report is dealt with."""
        await self._report(work_pb2.WorkFrame(started=_columns(attempt)))

    async def succeed(self, attempt: Assigned, result: bytes) -> None:
        """Report the attempt's success, and wait until the report is dealt with."""
        await self._report(work_pb2.WorkFrame(ended=_columns(attempt), results=[result], run_micros=[1]))

    async def end(self, attempt: Assigned, outcome: work_pb2.Outcome.ValueType) -> None:
        """Report that the attempt ended like that, and wait until the report is dealt with."""
        await self._report(work_pb2.WorkFrame(ended=_columns(attempt), outcomes=[outcome], run_micros=[1]))

    async def _report(self, frame: work_pb2.WorkFrame) -> None:
        self._frames += 1
        await self._call.write(work_pb2.WorkRequest(frame_number=self._frames, frame=frame))
        while self.committed < self._frames:
            await self._receive()

    async def _receive(self) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            response = await self._call.read()
        assert isinstance(response, work_pb2.WorkResponse), f"the stream ended: {response!r}"
        self.committed = max(self.committed, response.committed_frame_number)
        offered = response.assignments
        self._assigned += [
            Assigned(task_id, number, response.epoch)
            for task_id, number in zip(offered.task_ids, offered.numbers, strict=True)
        ]
        stopped = response.cancelled
        self.cancelled += [
            Assigned(task_id, number, stopped.epochs[stopped.epoch_indexes[index] if stopped.epoch_indexes else 0])
            for index, (task_id, number) in enumerate(zip(stopped.task_ids, stopped.numbers, strict=True))
        ]


@contextlib.asynccontextmanager
async def raw_agent(address: str, *, agent_id: str = "raw", instance_id: bytes = b"") -> AsyncIterator[RawAgent]:
    """Open a Work stream; at the end it is cut, as if the process had been killed."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = WorkServiceStub(channel)
        call = stub.Work()
        try:
            yield RawAgent(call, agent_id=agent_id, instance_id=instance_id or os.urandom(16))
        finally:
            call.cancel()


def _columns(*attempts: Assigned) -> work_pb2.AttemptColumns:
    return work_pb2.AttemptColumns(
        task_ids=[attempt.task_id for attempt in attempts],
        numbers=[attempt.number for attempt in attempts],
        epochs=[attempt.epoch for attempt in attempts],
        epoch_indexes=range(len(attempts)),
    )
