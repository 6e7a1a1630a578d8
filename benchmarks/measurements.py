"""What is measured, through the public SDK alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.calibration import calibrate
from benchmarks.fleet import Fleet
from benchmarks.processes import idle_seconds
from tercio import Client

_IN_FLIGHT = 10_000
_PACED_RATE = 50


@dataclass(frozen=True, slots=True)
class Round:
    """One round of no-op tasks, as many in flight as the client allows.

    Attributes:
        tasks: how many ended.
        seconds: from the first submission to the last result.
        cpu_micros: processor time a task, by process; `client` is this one.
        idle_micros: time a task that the machine's cores were idle, all together.
        commits: how many the scheduler made.
        calibration_ms: time of a fixed loop just before, which tells how fast the machine was.
    """

    tasks: int
    seconds: float
    cpu_micros: dict[str, float]
    idle_micros: float
    commits: int
    calibration_ms: float

    @property
    def rate(self) -> float:
        """Tasks a second, durable at both ends."""
        return self.tasks / self.seconds


@dataclass(frozen=True, slots=True)
class Latency:
    """From `submit` to the result, in milliseconds, at 50 tasks a second."""

    tasks: int
    p50_ms: float
    p99_ms: float


async def throughput(client: Client, fleet: Fleet, *, seconds: float, in_flight: int = _IN_FLIGHT) -> Round:
    """Keep so many tasks under way for that long, then wait for them."""
    calibration = calibrate()
    commits, idle = fleet.commits(), idle_seconds()
    before, own_before, began = fleet.cpu_seconds(), time.process_time(), time.perf_counter()
    count = 0
    async for _ in client.map("noop", _until(began + seconds), in_flight=in_flight):
        count += 1
    taken = time.perf_counter() - began
    after = fleet.cpu_seconds()
    cpu = {name: (after[name] - before[name]) / count * 1e6 for name in after}
    cpu["client"] = (time.process_time() - own_before) / count * 1e6
    idle_micros = (idle_seconds() - idle) / count * 1e6
    return Round(count, taken, cpu, idle_micros, fleet.commits() - commits, calibration)


async def latency(client: Client, *, seconds: float) -> Latency:
    """Submit at an even pace and time each task."""
    pending: list[asyncio.Task[float]] = []
    for _ in range(max(int(seconds * _PACED_RATE), 2)):
        pending.append(asyncio.create_task(_one(client)))
        await asyncio.sleep(1 / _PACED_RATE)
    times = await asyncio.gather(*pending)
    return Latency(len(times), median(times), quantiles(times, n=100, method="inclusive")[98])


async def _one(client: Client) -> float:
    began = time.perf_counter()
    await (await client.submit("noop")).result()
    return (time.perf_counter() - began) * 1000


def _until(end: float) -> Iterator[bytes]:
    while time.perf_counter() < end:
        yield b""
