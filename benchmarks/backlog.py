"""Fills a scheduler with tasks that wait."""

from __future__ import annotations

import os
from typing import Any, Self

import grpc

from tercio.api.scheduler.v1 import task_pb2, task_service_pb2
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub

_FRAME = 1_000
_FRAMES_A_STREAM = 64
"""Enough to keep commits full. A stream also brings the ends of its tasks, which nobody wants here, so none lasts."""
PAYLOAD = b'{"n": 1}'


class Submitter:
    """One session of submissions, over as many streams as it takes."""

    def __init__(self, address: str, *, prefix: str, task_type: str = "noop") -> None:
        """Submit to that scheduler; ids begin with `prefix`."""
        self._channel = grpc.aio.insecure_channel(address)
        self._stub: Any = TaskServiceStub(self._channel)
        self._prefix = prefix
        self._template = task_pb2.TaskTemplate(task_type=task_type)
        self._session = os.urandom(16).hex()
        self._frames = self._submitted = 0

    async def __aenter__(self) -> Self:
        """Return itself; the connection opens with the first submission."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection; the tasks stay."""
        await self._channel.close()

    async def submit(self, count: int) -> None:
        """Submit that many tasks; each is durable when this returns.

        Raises:
            RuntimeError: one was refused.
            AioRpcError: the scheduler did not take them.
        """
        while count > 0:
            size = min(count, _FRAME * _FRAMES_A_STREAM)
            await self._submit(size)
            count -= size

    async def _submit(self, count: int) -> None:
        call = self._stub.SubmitStream()
        for first in range(0, count, _FRAME):
            await call.write(self._request(min(_FRAME, count - first)))
        committed = 0
        while committed < self._frames:
            reply = await call.read()
            if reply is grpc.aio.EOF or reply.refusals:
                raise RuntimeError(f"tasks were not taken: {reply!r}")
            committed = max(committed, reply.committed_frame_number)
        call.cancel()

    def _request(self, size: int) -> task_service_pb2.SubmitStreamRequest:
        ids = [f"{self._prefix}-{self._submitted + number:08d}" for number in range(size)]
        frame = task_service_pb2.SubmitFrame(templates=[self._template], task_ids=ids, payloads=[PAYLOAD] * size)
        self._submitted += size
        self._frames += 1
        return task_service_pb2.SubmitStreamRequest(session_id=self._session, frame_number=self._frames, frame=frame)


async def fill(address: str, tasks: int, *, prefix: str) -> None:
    """Submit that many tasks, each durable when this returns. Raises like `Submitter.submit`."""
    async with Submitter(address, prefix=prefix) as submitter:
        await submitter.submit(tasks)
