"""Clients that hold parts of one pool, each in its own way, and note what they were told.

Some give back what they hold, once or twice; some renew it for a while before; some hand it over to another owner; some
die, so that it is released when their lease has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from google.protobuf.duration_pb2 import Duration

from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio.requests import new_request_id
from tercio.rpc.errors import CallError, ExhaustedError, NotFoundError
from tercio.rpc.remote import Remote
from tercio_common.testing.history import HELD, RELEASED, Observation, Verdict, Violation

if TYPE_CHECKING:
    from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceAsyncStub

POOL: Final = "cpu"
CAPACITY: Final = 1_000
SETTINGS: Final = {
    "TERCIO_RESOURCES__POOLS": json.dumps({POOL: {"dimension": "cpu", "capacity": CAPACITY}}),
    "TERCIO_RESOURCES__GRACE_MS": "500",
}
_TTL: Final = Duration(seconds=1)
_RENEWS_S: Final = 0.3
_FATES: Final = {"gives back": 60, "renews": 15, "hands over": 15, "dies": 10}
_RENEWALS: Final = 5
_TIMEOUT_S: Final = 60.0
_PAUSE_S: Final = 0.05


class Holders:
    """Many clients of one service."""

    def __init__(
        self, remote: Remote[ResourceServiceAsyncStub], observe: Callable[[Observation], None], *, seed: int
    ) -> None:
        """Call through `remote`; what clients are told goes to `observe`."""
        self._remote, self._observe = remote, observe
        self._random = random.Random(seed)
        self._stopping = False
        self.rounds = 0
        self.fates: Counter[str] = Counter()

    async def run(self, clients: int, rounds: int) -> None:
        """Let every client hold something that many times, or until `stop`; raises CallError when a call fails."""
        async with asyncio.TaskGroup() as group:
            for client in range(clients):
                group.create_task(self._hold_again_and_again(client, rounds))

    async def keep_on(self, clients: int) -> None:
        """Let every client hold something until `stop`; what a failed call did is left to its lease."""
        async with asyncio.TaskGroup() as group:
            for client in range(clients):
                group.create_task(self._keep_holding(client))

    def stop(self) -> None:
        """Let every client end after what it does at present."""
        self._stopping = True

    def seen_broken(self) -> Sequence[Violation]:
        """See `Contenders`."""
        return ()

    def tried_on(self, verdict: Verdict) -> Mapping[str, str]:
        """See `Contenders`."""
        held = sum(self.fates.values())
        return {
            "G4": f"{held} holders at {verdict.epochs} leaders",
            "G6": f"{held} allocations, {self.fates['dies']} of the dead",
        }

    async def is_quiet(self) -> bool:
        """Tell whether everything was released."""
        request = pb.GetPoolRequest(pool_id=POOL)
        return not (await self._remote.unary(lambda stub: stub.GetPool, request, timeout_s=_TIMEOUT_S)).pool.granted

    async def _keep_holding(self, client: int) -> None:
        number = 0
        while not self._stopping:
            number += 1
            try:
                await self._hold(f"holder-{client}/{number}")
            except CallError:
                await asyncio.sleep(_PAUSE_S)

    async def _hold_again_and_again(self, client: int, rounds: int) -> None:
        for number in range(rounds):
            if not self._stopping:
                await self._hold(f"client-{client}/{number}")

    async def _hold(self, owner: str) -> None:
        try:
            held = await self._ask(owner)
        except ExhaustedError:
            self.rounds += 1
            await asyncio.sleep(0)
            return
        (fate,) = self._random.choices(list(_FATES), weights=list(_FATES.values()))
        self.fates[fate] += 1
        if fate == "renews":
            await self._renew(owner)
        elif fate == "hands over":
            with contextlib.suppress(NotFoundError):  # its lease has ended meanwhile
                await self._hand_over(owner)
        if fate != "dies":
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
        self._observe(Observation(HELD, str(response.allocation_ids[0]), owner))
        return response.allocation_ids[0]

    async def _renew(self, owner: str) -> None:
        for _ in range(self._random.randint(1, _RENEWALS)):
            await asyncio.sleep(_RENEWS_S)
            request = pb.RenewRequest(request_id=new_request_id(), owners=[owner])
            await self._remote.unary(lambda stub: stub.Renew, request, timeout_s=_TIMEOUT_S)

    async def _hand_over(self, owner: str) -> None:
        request = pb.TransferRequest(request_id=new_request_id(), from_owner=owner, to_owner=f"{owner}/heir")
        response = await self._remote.unary(lambda stub: stub.Transfer, request, timeout_s=_TIMEOUT_S)
        for each in response.allocations:
            self._observe(Observation(HELD, str(each.allocation_id), each.owner))

    async def _give_back(self, number: int) -> None:
        request = pb.ReleaseRequest(request_id=new_request_id(), allocation_ids=[number])
        await self._remote.unary(lambda stub: stub.Release, request, timeout_s=_TIMEOUT_S)
        self._observe(Observation(RELEASED, str(number)))
