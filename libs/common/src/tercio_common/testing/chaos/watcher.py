"""A watch of every task from the first record on, which resumes from its cursor whatever happens to its stream."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc

from tercio.api.scheduler.v1 import task_pb2, task_service_pb2
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub
from tercio_common.ids import decode_cursor
from tercio_common.testing.history import WATCHED, Observation

_CURSOR: Final = "tasks-at"
"""The kind of cursor that a watch of tasks gives."""
_PAUSE_S: Final = 0.05
_RESUMABLE: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)


class Watcher:
    """Watches through one replica after the other."""

    def __init__(self, addresses: Sequence[str], observe: Callable[[Observation], None]) -> None:
        """Watch at `addresses`; every change that is shown goes to `observe`."""
        self._addresses = tuple(addresses)
        self._observe = observe
        self._cursor = ""
        self._parts: list[task_pb2.Task] = []
        """Shown of a record that does not fit into one message: only its last message moves the cursor."""
        self.changes = 0
        self.resumed = 0
        self.ended: set[str] = set()

    async def begin(self) -> None:
        """Take the cursor of an empty listing, so that everything is after it."""
        async with grpc.aio.insecure_channel(self._addresses[0]) as channel:
            stub: Any = TaskServiceStub(channel)
            request = task_service_pb2.ListTasksRequest()
            self._cursor = (await stub.ListTasks(request, timeout=10, wait_for_ready=True)).cursor

    async def run(self) -> None:
        """Watch for ever.

        Raises:
            AioRpcError: the watch was refused for good.
        """
        for address in itertools.cycle(self._addresses):
            await self._watch(address)
            await asyncio.sleep(_PAUSE_S)
            self.resumed += 1

    async def _watch(self, address: str) -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            stub: Any = TaskServiceStub(channel)
            call = stub.WatchTasks(task_service_pb2.WatchTasksRequest(cursor=self._cursor))
            try:
                async for response in call:
                    self._note(response)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _RESUMABLE:
                    raise
            finally:
                call.cancel()
                self._parts.clear()

    def _note(self, response: task_service_pb2.WatchTasksResponse) -> None:
        self._parts += response.tasks
        if response.cursor == self._cursor:
            return
        self._cursor = response.cursor
        for task in self._parts:
            self.changes += 1
            self._observe(Observation(WATCHED, task.task_id, seq=_seq(response.cursor)))
            if task.HasField("end_time"):
                self.ended.add(task.task_id)
        self._parts.clear()


def _seq(cursor: str) -> int:
    """Read the record's number out of a cursor, which no client may do."""
    _, position = decode_cursor(_CURSOR, cursor)
    return int(position)
