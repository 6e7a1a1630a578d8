"""`python -m benchmarks.latency WHAT`: how long single allocations or claims take at an even pace, and where that goes.

One etcd with its default fsync, one server with stopwatches (`timed_steps`), and a generator in a process of its own
(`paced`), which alternates with bare puts to the same etcd: their ratio is what the service adds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles

import uvloop

from benchmarks import timed_steps
from benchmarks.calibration import calibrate
from benchmarks.paced import WHAT
from benchmarks.servers import ROOT, Bench

_KINDS = ("commit", "pause", "search")


def main() -> int:
    """Measure; return the exit code."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="tercio-bench-", dir=arguments.folder) as folder:
        measured = uvloop.run(
            _measure(Path(folder) / arguments.what, what=arguments.what, rate=arguments.rate, seconds=arguments.seconds)
        )
    print(json.dumps(measured) if arguments.json else _table(measured, rate=arguments.rate))
    return 0


async def _measure(folder: Path, *, what: str, rate: int, seconds: float) -> dict[str, dict[str, float]]:
    calibration = calibrate()
    async with Bench.running(folder) as bench:
        told = folder / "told"
        settings = {timed_steps.FILE: str(told)}
        server = await bench.add(WHAT[what].module, launcher="benchmarks.timed_steps", settings=settings)
        await asyncio.to_thread(told.write_text, "")  # what the start took is of no interest
        endpoint = bench.etcd.endpoints[0].rpartition("/")[2]
        times = json.loads(await _generated(what, server.address, endpoint, str(rate), str(seconds)))
        lines = [json.loads(line) for line in (await asyncio.to_thread(told.read_text)).splitlines()]
    found = {name: _summary(each["taken"]) for name, each in times.items()}
    found["sent late"] = _summary([each for kind in times.values() for each in kind["sent_late"]])
    for kind in _KINDS:
        found[kind] = _summary([line["ms"] for line in lines if line["kind"] == kind])
    pauses = [line for line in lines if line["kind"] == "pause"]
    found["pause, own processor time"] = _summary([line["cpu_ms"] for line in pauses])
    found["machine"] = {"load": os.getloadavg()[0], "calibration_ms": calibration}
    return found


async def _generated(*arguments: str) -> bytes:
    command = (sys.executable, "-m", "benchmarks.paced", *arguments)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"the generator ended with {process.returncode}")
    return output


def _summary(times: Sequence[float]) -> dict[str, float]:
    if len(times) < 2:
        return {"count": len(times), "p50": 0.0, "p99": 0.0, "max": max(times, default=0.0)}
    cuts = quantiles(times, n=100, method="inclusive")
    return {"count": len(times), "p50": cuts[49], "p99": cuts[98], "max": max(times)}


def _table(measured: dict[str, dict[str, float]], *, rate: int) -> str:
    machine = measured.pop("machine")
    grant, put = measured["grant"], measured["put"]
    rows = [
        f"| {name} | {each['count']:.0f} | {each['p50']:.1f} | {each['p99']:.1f} | {each['max']:.1f} |"
        for name, each in measured.items()
    ]
    return "\n".join(
        [
            f"At {rate}/s; load {machine['load']:.1f}, calibration {machine['calibration_ms']:.0f} ms:",
            "",
            "| | count | p50 ms | p99 ms | max ms |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"A grant ÷ a bare put: p50 {grant['p50'] / put['p50']:.1f}, p99 {grant['p99'] / put['p99']:.1f}.",
        ]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("what", choices=WHAT, help="what is granted")
    parser.add_argument("--seconds", type=float, default=10.0, help="of grants (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=200, help="calls a second (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="everything that was measured, for programs")
    parser.add_argument("--folder", help="where etcd writes; a file system with a real fsync (default: the system's)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
