"""`python -m benchmarks.admission`: how many tasks a second hold resources, beside tasks that hold none.

One etcd with its default fsync, a scheduler and a resources service as processes, and one process of agents whose
handler does nothing. Each task declares a millicore; the pool has room for all that the agents can run at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from benchmarks.calibration import calibrate
from benchmarks.processes import cpu_seconds
from benchmarks.servers import ROOT, Bench, point_at
from tercio import Client, TaskOptions

_NEEDS: Mapping[str, int] = {"cpu": 1}
_IN_FLIGHT = 10_000


@dataclass(frozen=True, slots=True)
class Round:
    """One round of no-op tasks.

    Attributes:
        needs: whether each task declared what it needs.
        tasks: how many ended.
        rate: of them a second.
        cpu_micros: processor time a task, by process.
        calibration_ms: time of a fixed loop just before, which tells how fast the machine was.
    """

    needs: bool
    tasks: int
    rate: float
    cpu_micros: Mapping[str, float]
    calibration_ms: float


def main() -> int:
    """Measure; return the exit code."""
    arguments = _arguments()
    seconds, rounds = (1.0, 1) if arguments.smoke else (arguments.seconds, arguments.rounds)
    with tempfile.TemporaryDirectory(prefix="tercio-bench-", dir=arguments.folder) as folder:
        found = uvloop.run(_measure(Path(folder) / "admission", seconds=seconds, rounds=rounds))
    print(json.dumps([asdict(one) for one in found], indent=2) if arguments.json else _table(found))
    return 0


async def _measure(folder: Path, *, seconds: float, rounds: int) -> list[Round]:
    async with Bench.running(folder) as bench:
        resources = await bench.add("tercio_resources")
        scheduler = await bench.add("tercio_scheduler", settings={"TERCIO_RESOURCES_ADDRESS": resources.address})
        point_at(scheduler)
        agents = subprocess.Popen(  # noqa: ASYNC220 - it starts at once
            [sys.executable, "-m", "benchmarks.agent", "--agents=8", "--concurrency=8"], cwd=ROOT, env=os.environ
        )
        pids = {
            "scheduler": scheduler.pid,
            "resources": resources.pid,
            "agents": agents.pid,
            "etcd": bench.etcd.pid(),
            "client": os.getpid(),
        }
        try:
            async with Client() as client:
                await _round(client, pids, needs=True, seconds=1.0)
                return [
                    await _round(client, pids, needs=needs, seconds=seconds)
                    for _ in range(rounds)
                    for needs in (False, True)
                ]
        finally:
            agents.kill()
            await asyncio.to_thread(agents.wait)


async def _round(client: Client, pids: Mapping[str, int], *, needs: bool, seconds: float) -> Round:
    calibration = calibrate()
    before, began = {name: cpu_seconds(pid) for name, pid in pids.items()}, time.perf_counter()
    options: TaskOptions = {"resources": _NEEDS} if needs else {}
    count = 0
    async for _ in client.map("noop", _until(began + seconds), in_flight=_IN_FLIGHT, **options):
        count += 1
    taken = time.perf_counter() - began
    cpu = {name: (cpu_seconds(pid) - before[name]) / count * 1e6 for name, pid in pids.items()}
    return Round(needs, count, count / taken, cpu, calibration)


def _until(end: float) -> Iterator[bytes]:
    while time.perf_counter() < end:
        yield b""


def _table(rounds: list[Round]) -> str:
    names = list(rounds[0].cpu_micros)
    rows = [
        f"| {'yes' if one.needs else 'no'} | {one.rate:,.0f} | "
        + " | ".join(f"{one.cpu_micros[name]:.0f}" for name in names)
        + f" | {one.calibration_ms:.0f} |"
        for one in sorted(rounds, key=lambda one: (one.needs, one.rate))
    ]
    head = f"| needs | tasks/s | {' | '.join(f'{name} µs' for name in names)} | calibration ms |"
    return "\n".join([head, "|" + "---|" * (len(names) + 3), *rows])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.admission", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--json", action="store_true", help="everything that was measured, for programs")
    parser.add_argument("--folder", help="where etcd writes; a file system with a real fsync (default: the system's)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
