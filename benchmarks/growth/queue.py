"""The scheduler's process with few and with many queued tasks: CPU and wall time a task, memory a queued task.

Agents take the oldest tasks, and as many new ones are submitted as ended: so the queue stays as long as it is, and each
task costs one submission and one completion.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.backlog import Submitter
from benchmarks.bars import Bar
from benchmarks.servers import ROOT, Bench, cpu_of, memory_of, point_at
from tercio_common.free_ports import free_ports
from tercio_common.testing.chaos.processes import ServerProcess

_AGENTS, _CONCURRENCY = 8, 8
_TOP_UP_S = 0.05
_WARM_UP_S = 3.0
_KEPT = 10_000
"""Ended tasks that are kept: as many in each round, so that only the queue differs."""
_NO_AGEING_MS = 86_400_000
_NO_SNAPSHOTS = 1 << 40
"""They are measured on their own."""
_ENDED = 'tercio_scheduler_attempts_total{outcome="succeeded"}'


@dataclass(frozen=True, slots=True)
class _Cost:
    cpu_micros: float
    wall_micros: float


async def bars(bench: Bench, *, few: int, many: int, seconds: float, rounds: int) -> list[Bar]:
    """Measure with both queues in one scheduler; the longer one is what the shorter one became."""
    (metrics,) = free_ports(1)
    settings = {
        "TERCIO_SERVER__METRICS_PORT": str(metrics),
        "TERCIO_SCHEDULER__RETENTION_COUNT": str(_KEPT),
        "TERCIO_SCHEDULER__AGEING_STEP_MS": str(_NO_AGEING_MS),
        "TERCIO_HOST__SNAPSHOT_BYTES": str(_NO_SNAPSHOTS),
    }
    scheduler = await bench.add("tercio_scheduler", settings=settings)
    point_at(scheduler)
    async with Submitter(scheduler.address, prefix="task") as submitter:
        await submitter.submit(few)
        small = await _costs(submitter, scheduler, metrics, seconds=seconds, rounds=rounds)
        before = memory_of(scheduler)
        await submitter.submit(many - few)
        held = (memory_of(scheduler) - before) / (many - few)
        large = await _costs(submitter, scheduler, metrics, seconds=seconds, rounds=rounds)
    return [
        _growth("CPU", small.cpu_micros, large.cpu_micros, few=few, many=many),
        _growth("wall time", small.wall_micros, large.wall_micros, few=few, many=many),
        Bar(name=f"scheduler: memory a queued task, {many:,} queued", value=held, limit=1000, unit="B"),
    ]


def _growth(what: str, small: float, large: float, *, few: int, many: int) -> Bar:
    return Bar(
        name=f"scheduler: {what} a task, {many:,} queued ÷ {few:,} queued",
        value=large / small,
        limit=1.5,
        details={"µs with few": small, "µs with many": large},
    )


async def _costs(submitter: Submitter, scheduler: ServerProcess, metrics: int, *, seconds: float, rounds: int) -> _Cost:
    found = []
    # One set of agents: those that are killed hold what they were offered until their lease ends.
    with _agents():
        ended = await _kept_full(submitter, metrics, seconds=_WARM_UP_S, ended=await _ended(metrics))
        for _ in range(rounds):
            cpu, began, before = cpu_of(scheduler), time.perf_counter(), ended
            ended = await _kept_full(submitter, metrics, seconds=seconds, ended=ended)
            used, taken, done = cpu_of(scheduler) - cpu, time.perf_counter() - began, ended - before
            if not done:
                raise RuntimeError("agents ended no task: do they run at all?")
            found.append(_Cost(used / done * 1e6, taken / done * 1e6))
    return _Cost(median(one.cpu_micros for one in found), median(one.wall_micros for one in found))


async def _kept_full(submitter: Submitter, metrics: int, *, seconds: float, ended: int) -> int:
    """Submit as many tasks as end, for that long; return how many have ended in all."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        await asyncio.sleep(_TOP_UP_S)
        now = await _ended(metrics)
        await submitter.submit(now - ended)
        ended = now
    return ended


async def _ended(metrics: int) -> int:
    return await asyncio.to_thread(_read_ended, metrics)


def _read_ended(metrics: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    return next((int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(_ENDED)), 0)


@contextlib.contextmanager
def _agents() -> Iterator[None]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.agent",
        f"--agents={_AGENTS}",
        f"--concurrency={_CONCURRENCY}",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()
