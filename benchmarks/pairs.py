"""Pairs of grant and release, each durable in etcd: batches at full speed, then single ones at an even pace."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final, Protocol

import grpc
import uvloop

from benchmarks.calibration import calibrate
from benchmarks.servers import Bench, cpu_of

BATCH: Final = 100
_UNDER_WAY: Final = 8
"""Batches: one is decided while another one is committed, and one is on its way."""
_PACED_RATE: Final = 200
_WARM_UP_S: Final = 1.0


class Calls(Protocol):
    """What is granted, and how."""

    noun: str
    module: str
    stub: Callable[[grpc.aio.Channel], Any]

    async def prepare(self, stub: Any) -> None:
        """Make what is there before the first round."""
        ...

    async def grant(self, stub: Any, name: str, count: int) -> list[int]:
        """Have that many granted in one call; `name` is the caller's own. Return their ids."""
        ...

    async def release(self, stub: Any, numbers: list[int]) -> int:
        """Release them in one call; return how many were."""
        ...


@dataclass(frozen=True, slots=True)
class Round:
    """One round of batches.

    Attributes:
        pairs: what was granted and released.
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
    """Of a single grant, in milliseconds, at 200 a second."""

    count: int
    p50_ms: float
    p99_ms: float


def run(calls: Calls, program: str, description: str | None) -> int:
    """Measure as the command line says; return the exit code."""
    arguments = _arguments(program, description)
    seconds, rounds = (1.0, 1) if arguments.smoke else (arguments.seconds, arguments.rounds)
    with tempfile.TemporaryDirectory(prefix="tercio-bench-", dir=arguments.folder) as folder:
        found, paced = uvloop.run(_measure(calls, Path(folder) / "pairs", seconds=seconds, rounds=rounds))
    if arguments.json:
        print(json.dumps({"rounds": [asdict(one) for one in found], "latency": asdict(paced)}, indent=2))
    else:
        print(_table(calls.noun, found, paced))
    return 0


def request_id() -> str:
    """Return an id that nobody has used."""
    return os.urandom(13).hex()


async def _measure(calls: Calls, folder: Path, *, seconds: float, rounds: int) -> tuple[list[Round], Latency]:
    async with Bench.running(folder) as bench:
        server = await bench.add(calls.module)
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = type(calls).stub(channel)
            await calls.prepare(stub)
            await _pairs(calls, stub, _WARM_UP_S)
            found = []
            for _ in range(rounds):
                calibration, before, began = calibrate(), cpu_of(server), time.perf_counter()
                pairs = await _pairs(calls, stub, seconds)
                taken = time.perf_counter() - began
                found.append(Round(pairs, pairs / taken, (cpu_of(server) - before) / pairs * 1e6, calibration))
            return found, await _latency(calls, stub, seconds)


async def _pairs(calls: Calls, stub: Any, seconds: float) -> int:
    """Grant and release batches for that long; return how many pairs that were."""
    end = time.perf_counter() + seconds
    return sum(await asyncio.gather(*(_batches(calls, stub, f"bench-{worker}", end) for worker in range(_UNDER_WAY))))


async def _batches(calls: Calls, stub: Any, name: str, end: float) -> int:
    count = 0
    while time.perf_counter() < end:
        count += await calls.release(stub, await calls.grant(stub, name, BATCH))
    return count


async def _latency(calls: Calls, stub: Any, seconds: float) -> Latency:
    """Grant single ones at an even pace and time each call."""
    pending = []
    began = time.perf_counter()
    for number in range(max(2, int(seconds * _PACED_RATE))):
        await asyncio.sleep(max(0.0, began + number / _PACED_RATE - time.perf_counter()))
        pending.append(asyncio.create_task(_one(calls, stub, f"paced-{number}")))
    times = await asyncio.gather(*pending)
    return Latency(len(times), median(times), quantiles(times, n=100, method="inclusive")[98])


async def _one(calls: Calls, stub: Any, name: str) -> float:
    began = time.perf_counter()
    numbers = await calls.grant(stub, name, 1)
    taken = time.perf_counter() - began
    await calls.release(stub, numbers)
    return taken * 1000


def _table(noun: str, rounds: list[Round], paced: Latency) -> str:
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
            f"Single {noun}s at {_PACED_RATE}/s: p50 {paced.p50_ms:.1f} ms, p99 {paced.p99_ms:.1f} ms.",
        ]
    )


def _arguments(program: str, description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--json", action="store_true", help="everything that was measured, for programs")
    parser.add_argument("--folder", help="where etcd writes; a file system with a real fsync (default: the system's)")
    return parser.parse_args()
