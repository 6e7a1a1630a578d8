"""Faults of clients: the same request from many tasks at once, one that stops reading, an agent that falls silent."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

import grpc

from tercio.api.scheduler.v1 import task_pb2, task_service_pb2
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub
from tercio_common.ids import SeededIds
from tercio_common.testing.chaos.beating import BeatingAgent
from tercio_common.testing.chaos.fleet import Fleet
from tercio_common.testing.chaos.workload import WORK

_CALLERS: Final = 32
_CALL_TIMEOUT_S: Final = 5.0
_PAUSE_S: Final = 0.1
_GIVE_UP_S: Final = 120.0
"""Longer than a store may be nearly full while faults go on, below the age at which a retry is refused."""
_STALLED: Final = 8


class SameRequest:
    """Sends one request from 32 tasks at once, each until it is answered; all answers must be the same."""

    def __init__(self) -> None:
        self._calling: asyncio.Task[None] | None = None

    async def inject(self, fleet: Fleet, rng: random.Random) -> None:
        template = task_pb2.TaskTemplate(task_type=WORK)
        request = task_service_pb2.SubmitTasksRequest(
            request_id=SeededIds(rng.randrange(2**32)).new(), tasks=[task_pb2.TaskSpec(template=template)]
        )
        self._calling = asyncio.create_task(_call_from_many(fleet, request, rng))

    async def heal(self) -> None:
        if self._calling is not None:
            await self._calling


async def _call_from_many(fleet: Fleet, request: task_service_pb2.SubmitTasksRequest, rng: random.Random) -> None:
    addresses = [rng.choice(fleet.fronts) for _ in range(_CALLERS)]
    try:
        async with asyncio.timeout(_GIVE_UP_S):
            replies = await asyncio.gather(*(_until_answered(fleet, address, request) for address in addresses))
    except TimeoutError:
        fleet.complain("G1", "SameRequest", f"request {request.request_id} got no answer within {_GIVE_UP_S:.0f} s")
        return
    fleet.accepted += replies[0]
    if len(set(replies)) > 1:
        fleet.complain("G8", "SameRequest", f"request {request.request_id} had {len(set(replies))} different replies")


async def _until_answered(fleet: Fleet, address: str, request: task_service_pb2.SubmitTasksRequest) -> tuple[str, ...]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = TaskServiceStub(channel)
        while True:
            try:
                reply = await stub.SubmitTasks(request, timeout=_CALL_TIMEOUT_S)
                return tuple(reply.task_ids)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _RETRIED:
                    fleet.complain("G8", "SameRequest", f"request {request.request_id} was refused: {error.details()}")
                    return ()
            await asyncio.sleep(_PAUSE_S)


_RETRIED: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
)


class StalledReaders:
    """Opens watches and never reads them; healing ends them."""

    def __init__(self) -> None:
        self._channels: list[grpc.aio.Channel] = []
        self._calls: list[Any] = []

    async def inject(self, fleet: Fleet, rng: random.Random) -> None:
        for _ in range(_STALLED):
            channel = grpc.aio.insecure_channel(rng.choice(fleet.fronts))
            stub: Any = TaskServiceStub(channel)
            self._channels.append(channel)
            self._calls.append(stub.WatchTasks(task_service_pb2.WatchTasksRequest()))

    async def heal(self) -> None:
        for call in self._calls:
            call.cancel()
        for channel in self._channels:
            await channel.close()


class SilentAgent:
    """An agent that only beats stops in its tracks; healing lets it go on."""

    def __init__(self) -> None:
        self._agent: BeatingAgent | None = None

    async def inject(self, fleet: Fleet, rng: random.Random) -> None:
        self._agent = rng.choice(fleet.beating)
        self._agent.pause()

    async def heal(self) -> None:
        if self._agent is not None:
            self._agent.resume()
