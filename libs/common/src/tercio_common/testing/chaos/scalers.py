"""Clients that scale one pool of agents by hand, within its bounds and beyond, and one that follows its number.

The pool's agents are nobody's business here: whoever brings them, as KEDA does, goes by the number that is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from google.protobuf.duration_pb2 import Duration

from tercio.api.scaling.v1 import agent_pool_pb2
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio.requests import new_request_id
from tercio.rpc.errors import CallError
from tercio.rpc.remote import Remote
from tercio_common.testing.history import DRIVEN, Observation, Verdict, Violation

if TYPE_CHECKING:
    from tercio.api.scaling.v1.scaling_service_pb2_grpc import ScalingServiceAsyncStub

POOL: Final = "crew"
LEAST: Final = 2
MOST: Final = 9
STALE_MS: Final = 1_500
SETTINGS: Final = {
    "TERCIO_SCALING__OBSERVE_MS": "500",
    "TERCIO_SCALING__SETTLE_MS": "50",
    "TERCIO_SCALING__STALE_MS": str(STALE_MS),
}
_SECOND: Final = Duration(seconds=1)
_TIMEOUT_S: Final = 60.0
_PAUSE_S: Final = 0.1


class Scalers:
    """Clients of one service."""

    def __init__(
        self, remote: Remote[ScalingServiceAsyncStub], observe: Callable[[Observation], None], *, seed: int
    ) -> None:
        """Call through `remote`; what the follower is told goes to `observe`."""
        self._remote, self._observe = remote, observe
        self._random = random.Random(seed)
        self._stopping = False
        self._broken: list[Violation] = []
        self._told = 0
        self._scaled = self._refused = 0

    async def keep_on(self, clients: int) -> None:
        """Declare the pool, and let that many clients scale it until `stop`."""
        await self._declare()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again_and_again(self._follow))
            for _ in range(clients):
                group.create_task(self._again_and_again(self._scale))

    def stop(self) -> None:
        """Let every client end after what it does at present."""
        self._stopping = True

    async def is_quiet(self) -> bool:
        """Tell whether the pool is seen again, by whoever leads now."""
        return any(each.type == "Observed" and each.holds for each in (await self._status()).conditions)

    def seen_broken(self) -> Sequence[Violation]:
        """See `Contenders`."""
        return self._broken

    def tried_on(self, verdict: Verdict) -> Mapping[str, str]:
        """See `Contenders`."""
        done = f"{self._scaled} scales and {self._refused} beyond bounds"
        return {"G11": f"{done} at {verdict.epochs} leaders, {self._told} numbers told"}

    async def _again_and_again(self, do: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping:
            with contextlib.suppress(CallError):  # something else is tried then
                await do()
            await asyncio.sleep(_PAUSE_S)

    async def _declare(self) -> None:
        pool = agent_pool_pb2.AgentPool(
            pool_id=POOL,
            min_agents=LEAST,
            max_agents=MOST,
            up_step=MOST,
            down_step=MOST,
            cooldown=_SECOND,
            window=_SECOND,
            sustained=_SECOND,
            external=agent_pool_pb2.AgentPool.External(),
        )
        request = pb.ApplyPoolRequest(request_id=new_request_id(), pool=pool)
        await self._remote.unary(lambda stub: stub.ApplyPool, request, timeout_s=_TIMEOUT_S)

    async def _status(self) -> agent_pool_pb2.AgentPool.Status:
        request = pb.GetPoolRequest(pool_id=POOL)
        return (await self._remote.unary(lambda stub: stub.GetPool, request, timeout_s=_TIMEOUT_S)).pool.status

    async def _follow(self) -> None:
        status = await self._status()
        epoch = status.decision_epoch
        self._told += 1
        self._observe(
            Observation(DRIVEN, POOL, "", status.desired_count, _wall_ms(), 0, epoch.generation, epoch.revision)
        )

    async def _scale(self) -> None:
        agents = self._random.randint(0, MOST + LEAST)
        request = pb.ScalePoolRequest(request_id=new_request_id(), pool_id=POOL, agents=agents, reason="chaos")
        try:
            await self._remote.unary(lambda stub: stub.ScalePool, request, timeout_s=_TIMEOUT_S)
        except CallError as error:
            if error.reason != "SCALING_LIMIT_REACHED":
                raise
            self._refused += 1
            return
        self._scaled += 1
        if not LEAST <= agents <= MOST:
            text = f"a scale to {agents} was accepted, of {LEAST} to {MOST}"
            self._broken.append(Violation("G11", "Scalers", text))


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
