"""Clients that hold parts of one pool, give them back twice or never, and note what they were told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from google.protobuf.duration_pb2 import Duration

from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio.requests import new_request_id
from tercio.rpc.channels import Channels, Route
from tercio.rpc.errors import ExhaustedError
from tercio.rpc.remote import Remote
from tercio_common.testing.history import HELD, RELEASED, Observation, Recorder

if TYPE_CHECKING:
    from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceAsyncStub

CAPACITY: Final = 1_000
SETTINGS: Final = {
    "TERCIO_RESOURCES__POOLS": json.dumps({"cpu": {"dimension": "cpu", "capacity": CAPACITY}}),
    "TERCIO_RESOURCES__GRACE_MS": "500",
}
_TTL: Final = Duration(seconds=1)
_NEVER_GIVEN_BACK: Final = 0.05
_TIMEOUT_S: Final = 60.0


class Holders:
    """Many clients of one service."""

    def __init__(self, remote: Remote[ResourceServiceAsyncStub], recorder: Recorder, *, seed: int) -> None:
        """Call through `remote`; observations go to `recorder`."""
        self._remote, self._recorder = remote, recorder
        self._random = random.Random(seed)
        self.rounds = 0

    async def run(self, clients: int, rounds: int) -> None:
        """Let every client hold something that many times."""
        async with asyncio.TaskGroup() as group:
            for client in range(clients):
                group.create_task(self._hold(client, rounds))

    async def is_quiet(self) -> bool:
        """Tell whether everything was released."""
        request = pb.GetPoolRequest(pool_id="cpu")
        return not (await self._remote.unary(lambda stub: stub.GetPool, request, timeout_s=_TIMEOUT_S)).pool.granted

    async def _hold(self, client: int, rounds: int) -> None:
        for number in range(rounds):
            with contextlib.suppress(ExhaustedError):
                held = await self._ask(f"client-{client}/{number}")
                if self._random.random() >= _NEVER_GIVEN_BACK:
                    await self._give_back(held)
                    await self._give_back(held)
            self.rounds += 1

    async def _ask(self, owner: str) -> int:
        amount = ResourceAmount(dimension="cpu", amount=self._random.randint(1, CAPACITY // 8))
        request = pb.AllocateRequest(
            request_id=new_request_id(),
            specs=[allocation_pb2.AllocationSpec(amounts=[amount], ttl=_TTL)],
            owners=[owner],
        )
        response = await self._remote.unary(lambda stub: stub.Allocate, request, timeout_s=_TIMEOUT_S)
        self._recorder.observe(Observation(HELD, str(response.allocation_ids[0]), owner))
        return response.allocation_ids[0]

    async def _give_back(self, number: int) -> None:
        request = pb.ReleaseRequest(request_id=new_request_id(), allocation_ids=[number])
        await self._remote.unary(lambda stub: stub.Release, request, timeout_s=_TIMEOUT_S)
        self._recorder.observe(Observation(RELEASED, str(number)))


@contextlib.asynccontextmanager
async def holders(addresses: str, recorder: Recorder, *, seed: int) -> AsyncIterator[Holders]:
    """Give clients of the service at these addresses."""
    channels = Channels()
    try:
        yield Holders(Remote(Route(channels, addresses.split(",")), ResourceServiceStub), recorder, seed=seed)
    finally:
        await channels.close()
