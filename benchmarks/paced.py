"""`python -m benchmarks.paced WHAT ADDRESS ENDPOINT RATE SECONDS`: single calls at an even pace, timed by one process.

A call is timed from the moment at which it was due, not from when this process came to send it: what held up the one
before it counts (no coordinated omission). How late calls were sent is told as well, for that is the part that is
the generator's own. Every second alternates between grants, which are released again, and bare puts to the same
etcd, so that both meet the same machine and the same disk.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import grpc
import uvloop

from benchmarks.claims import Claims
from benchmarks.pairs import Calls
from benchmarks.resources import Allocations
from tercio_common.etcd_client.stubs import api

_PHASE_S: Final = 1.0
_PUT_BYTES: Final = 256
"""About what the record of a grant has."""
WHAT: Final[Mapping[str, Calls]] = {"allocations": Allocations(), "claims": Claims()}
"""What can be granted."""


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


async def _grants(calls: Calls, stub: Any, times: Times, *, rate: int, phase: int) -> None:
    async def one(number: int, due: float) -> None:
        granted = await times.take(lambda: calls.grant(stub, f"paced/{phase}/{number}", 1), due)
        await calls.release(stub, granted)

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


async def _measure(
    calls: Calls, address: str, endpoint: str, *, rate: int, seconds: float
) -> dict[str, dict[str, list[float]]]:
    async with grpc.aio.insecure_channel(address) as server, grpc.aio.insecure_channel(endpoint) as etcd:
        granting: Any = calls.stub(server)
        putting: Any = api.KVStub(etcd)
        await calls.prepare(granting)
        await _grants(calls, granting, Times(), rate=rate, phase=-1)
        await _puts(putting, Times(), rate=rate, phase=-1)
        granted, put = Times(), Times()
        gc.freeze()
        for phase in range(max(1, int(seconds / _PHASE_S))):
            await _grants(calls, granting, granted, rate=rate, phase=phase)
            await _puts(putting, put, rate=rate, phase=phase)
    named = {"grant": granted, "put": put}
    return {name: {"taken": times.taken, "sent_late": times.sent_late} for name, times in named.items()}


def main() -> None:
    """Measure, and print every time as JSON."""
    what, address, endpoint, rate, seconds = sys.argv[1:]
    print(json.dumps(uvloop.run(_measure(WHAT[what], address, endpoint, rate=int(rate), seconds=float(seconds)))))


if __name__ == "__main__":
    main()
