"""`python -m benchmarks.resources`: how fast parts of a pool are granted and released, each durable in etcd.

Batches of 100 are granted and then released, several under way at once; then single allocations at an even pace. One
etcd with its default fsync, one server, and this process as the client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import grpc
import uvloop

from benchmarks.calibration import calibrate
from benchmarks.servers import Bench, cpu_of
from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount

_BATCH: Final = 100
_UNDER_WAY: Final = 8
"""Batches: one is decided while another one is committed, and one is on its way."""
_PACED_RATE: Final = 200
_WARM_UP_S: Final = 1.0
_SPEC: Final = allocation_pb2.AllocationSpec(amounts=[ResourceAmount(dimension="cpu", amount=1)])


@dataclass(frozen=True, slots=True)
class Round:
    """One round of batches.

    Attributes:
        pairs: allocations that were granted and released.
        rate: of them a second.
        server_micros: processor time of the server for each.
        calibration_ms: time of a fixed loop just before, which tells how fast the machine was.
    """

    pairs: int
    rate: float
    server_micros: float
    calibration_ms: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Of a single allocation, in milliseconds, at 200 a second."""

    allocations: int
    p50_ms: float
    p99_ms: float


def main() -> int:
    """Measure; return the exit code."""
    arguments = _arguments()
    seconds, rounds = (1.0, 1) if arguments.smoke else (arguments.seconds, arguments.rounds)
    with tempfile.TemporaryDirectory(prefix="tercio-bench-", dir=arguments.folder) as folder:
        found, paced = uvloop.run(_measure(Path(folder) / "resources", seconds=seconds, rounds=rounds))
    if arguments.json:
        print(json.dumps({"rounds": [asdict(one) for one in found], "latency": asdict(paced)}, indent=2))
    else:
        print(_table(found, paced))
    return 0


async def _measure(folder: Path, *, seconds: float, rounds: int) -> tuple[list[Round], Latency]:
    async with Bench.running(folder) as bench:
        server = await bench.add("tercio_resources")
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub: Any = ResourceServiceStub(channel)
            await _pairs(stub, _WARM_UP_S)
            found = []
            for _ in range(rounds):
                calibration, before, began = calibrate(), cpu_of(server), time.perf_counter()
                pairs = await _pairs(stub, seconds)
                taken = time.perf_counter() - began
                found.append(Round(pairs, pairs / taken, (cpu_of(server) - before) / pairs * 1e6, calibration))
            return found, await _latency(stub, seconds)


async def _pairs(stub: Any, seconds: float) -> int:
    """Grant and release batches for that long; return how many allocations that were."""
    end = time.perf_counter() + seconds
    return sum(await asyncio.gather(*(_batches(stub, f"bench-{worker}", end) for worker in range(_UNDER_WAY))))


async def _batches(stub: Any, name: str, end: float) -> int:
    count = 0
    owners = [f"{name}/{number}" for number in range(_BATCH)]
    while time.perf_counter() < end:
        request = pb.AllocateRequest(request_id=_request_id(), specs=[_SPEC], owners=owners)
        granted = (await stub.Allocate(request)).allocation_ids
        released = await stub.Release(pb.ReleaseRequest(request_id=_request_id(), allocation_ids=granted))
        count += released.released_count
    return count


async def _latency(stub: Any, seconds: float) -> Latency:
    """Allocate at an even pace and time each call."""
    pending = []
    began = time.perf_counter()
    for number in range(max(2, int(seconds * _PACED_RATE))):
        await asyncio.sleep(max(0.0, began + number / _PACED_RATE - time.perf_counter()))
        pending.append(asyncio.create_task(_one(stub, f"paced/{number}")))
    times = await asyncio.gather(*pending)
    return Latency(len(times), median(times), quantiles(times, n=100, method="inclusive")[98])


async def _one(stub: Any, owner: str) -> float:
    began = time.perf_counter()
    request = pb.AllocateRequest(request_id=_request_id(), specs=[_SPEC], owners=[owner])
    (number,) = (await stub.Allocate(request)).allocation_ids
    taken = time.perf_counter() - began
    await stub.Release(pb.ReleaseRequest(request_id=_request_id(), allocation_ids=[number]))
    return taken * 1000


def _request_id() -> str:
    return os.urandom(13).hex()


def _table(rounds: list[Round], paced: Latency) -> str:
    rows = [
        f"| {one.rate:,.0f} | {one.server_micros:.1f} | {one.calibration_ms:.0f} |"
        for one in sorted(rounds, key=lambda one: one.rate)
    ]
    return "\n".join(
        [
            "| grant and release pairs/s | server µs a pair | calibration ms |",
            "|---|---|---|",
            *rows,
            "",
            f"Single allocations at {_PACED_RATE}/s: p50 {paced.p50_ms:.1f} ms, p99 {paced.p99_ms:.1f} ms.",
        ]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resources", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--json", action="store_true", help="everything that was measured, for programs")
    parser.add_argument("--folder", help="where etcd writes; a file system with a real fsync (default: the system's)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
