"""An hour of the fleet's time at full speed: etcd stays as large as state and retention make it, not history.

The fleet's clock runs 60 times as fast as the machine's, so what is kept for an hour is forgotten after a minute.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

from benchmarks.bars import Bar
from benchmarks.recovery import probed
from benchmarks.servers import ROOT, Bench, memory_of, point_at
from tercio import Client

_SPEED = 60
_LONGEST_LEASE_MS = 600_000
"""Ten minutes of the fleet are ten seconds here; agents and their network are not faster than usual."""
_SAMPLE_S = 5.0
_IN_FLIGHT = 10_000


@dataclass(frozen=True, slots=True)
class Sample:
    """How large everything is at one moment."""

    tasks: int
    in_use_mb: float
    file_mb: float
    resident_mb: float


async def bars(bench: Bench, *, tasks: int, retention: int) -> tuple[list[Bar], list[Sample]]:
    """Run that many tasks, and compare how large etcd is in the last third with how large it was in the second."""
    settings = {
        probed.FILE: str(bench.folder / "probe"),
        probed.SPEED: str(_SPEED),
        "TERCIO_SCHEDULER__ATTEMPT_LEASE_MS": str(_LONGEST_LEASE_MS),
        "TERCIO_SCHEDULER__RETENTION_COUNT": str(retention),
    }
    scheduler = await bench.add("tercio_scheduler", launcher="benchmarks.recovery.probed", settings=settings)
    point_at(scheduler)
    samples: list[Sample] = []
    done = 0

    async def sample() -> None:
        while True:
            space = await bench.store.journal("scheduler").space()
            sizes = (space.in_use, space.file_size, memory_of(scheduler))
            samples.append(Sample(done, *(size / 1e6 for size in sizes)))
            await asyncio.sleep(_SAMPLE_S)

    command = [sys.executable, "-m", "benchmarks.agent", "--agents=8", "--concurrency=8"]
    agents = await asyncio.to_thread(subprocess.Popen, command, cwd=ROOT, stderr=subprocess.DEVNULL)
    sampling = asyncio.create_task(sample())
    began = time.perf_counter()
    try:
        async with Client() as client:
            async for _ in client.map("noop", repeat(b"", tasks), in_flight=_IN_FLIGHT):
                done += 1
    finally:
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        agents.kill()
        await asyncio.to_thread(agents.wait)
    taken = time.perf_counter() - began
    return [growth(samples, tasks=tasks, seconds=taken)], samples


def growth(samples: list[Sample], *, tasks: int, seconds: float) -> Bar:
    """Return how much larger etcd's file became after the second third of the tasks."""
    middle = list(_part(samples, tasks // 3, 2 * tasks // 3)) or samples
    last = list(_part(samples, 2 * tasks // 3, tasks)) or samples
    return Bar(
        name=f"largest etcd file in the last third of {tasks:,} tasks ÷ in the second",
        value=max(one.file_mb for one in last) / max(one.file_mb for one in middle),
        limit=1.25,
        details={
            "largest file MB": max(one.file_mb for one in samples),
            "largest in use MB": max(one.in_use_mb for one in samples),
            "scheduler's memory MB": samples[-1].resident_mb,
            "tasks/s": tasks / seconds,
            "fleet time min": seconds * _SPEED / 60,
        },
    )


def _part(samples: list[Sample], first: int, end: int) -> Iterator[Sample]:
    return (one for one in samples if first <= one.tasks <= end)
