"""`python -m benchmarks.paced ADDRESS ENDPOINT`: single calls at an even pace, timed in a process of their own.

A call is timed from the moment at which it was due, not from when this process came to send it: what held up the one
before it counts (no coordinated omission). How late calls were sent is told as well, for that is the part that is
the generator's own. Every second alternates between allocations, which are released again, and bare puts to the same
etcd, so that both meet the same machine and the same disk.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import uvloop

from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio_common.etcd_client.stubs import api

_PHASE_S: Final = 1.0
_PUT_BYTES: Final = 256
"""About what the record of an allocation has."""
_SPEC: Final = allocation_pb2.AllocationSpec(amounts=[ResourceAmount(dimension="cpu", amount=1)])


class Times:
    """What one kind of call took, in milliseconds."""

    def __init__(self) -> None:
        """Start empty."""
        self.taken: list[float] = []
        self.sent_late: list[float] = []

    async def take(self, call: Callable[[], Awaitable[Any]], due: float) -> Any:
        """Make a call that was due at that time."""
        self.sent_late.append((time.perf_counter() - due) * 1000)
        answer = await call()
        self.taken.append((time.perf_counter() - due) * 1000)
        return answer


async def _allocations(stub: Any, times: Times, *, rate: int, phase: int) -> None:
    async def one(number: int, due: float) -> None:
        request = pb.AllocateRequest(request_id=_request_id(), specs=[_SPEC], owners=[f"paced/{phase}/{number}"])
        (granted,) = (await times.take(lambda: stub.Allocate(request), due)).allocation_ids
        await stub.Release(pb.ReleaseRequest(request_id=_request_id(), allocation_ids=[granted]))

    await _pace(one, rate=rate)


async def _puts(stub: Any, times: Times, *, rate: int, phase: int) -> None:
    value = bytes(_PUT_BYTES)

    async def one(number: int, due: float) -> None:
        request = api.PutRequest(key=f"paced/{phase}/{number}".encode(), value=value)
        await times.take(lambda: stub.Put(request), due)

    await _pace(one, rate=rate)


async def _pace(one: Callable[[int, float], Awaitable[None]], *, rate: int) -> None:
    began, calls = time.perf_counter(), []
    for number in range(int(_PHASE_S * rate)):
        due = began + number / rate
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        calls.append(asyncio.ensure_future(one(number, due)))
    await asyncio.gather(*calls)


async def _measure(address: str, endpoint: str, *, rate: int, seconds: float) -> dict[str, dict[str, list[float]]]:
    async with grpc.aio.insecure_channel(address) as server, grpc.aio.insecure_channel(endpoint) as etcd:
        allocating: Any = ResourceServiceStub(server)
        putting: Any = api.KVStub(etcd)
        await _allocations(allocating, Times(), rate=rate, phase=-1)
        await _puts(putting, Times(), rate=rate, phase=-1)
        allocated, put = Times(), Times()
        gc.freeze()
        for phase in range(max(1, int(seconds / _PHASE_S))):
            await _allocations(allocating, allocated, rate=rate, phase=phase)
            await _puts(putting, put, rate=rate, phase=phase)
    named = {"allocation": allocated, "put": put}
    return {name: {"taken": times.taken, "sent_late": times.sent_late} for name, times in named.items()}


def _request_id() -> str:
    return os.urandom(13).hex()


def main() -> None:
    """Measure, and print every time as JSON."""
    address, endpoint, rate, seconds = sys.argv[1:]
    print(json.dumps(uvloop.run(_measure(address, endpoint, rate=int(rate), seconds=float(seconds)))))


if __name__ == "__main__":
    main()
