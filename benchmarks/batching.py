"""`python -m benchmarks.batching`: throughput against how many tasks are under way, and with them in one commit.

Commits hold what arrived during the last one, so nobody sets a batch size: it follows from the load.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

import uvloop

from benchmarks.fleet import Fleet, running_fleet
from benchmarks.measurements import throughput
from benchmarks.plots import Point, Series, line_plot
from tercio import Client

_IN_FLIGHT = (1, 10, 100, 1_000, 10_000)


def main() -> int:
    """Measure; return the exit code."""
    arguments = _arguments()
    with (
        tempfile.TemporaryDirectory(prefix="tercio-bench-", dir=arguments.folder) as folder,
        running_fleet(Path(folder), agents=8, concurrency=8) as fleet,
    ):
        os.environ["TERCIO_SCHEDULER_ADDRESS"] = fleet.address
        points = uvloop.run(_measure(fleet, seconds=arguments.seconds, rounds=arguments.rounds))
    if arguments.plot:
        arguments.plot.write_text(_plot(points), encoding="utf-8")
    print(json.dumps(dict(points)) if arguments.json else _table(points))
    return 0


async def _measure(fleet: Fleet, *, seconds: float, rounds: int) -> list[Point]:
    async with Client() as client:
        await throughput(client, fleet, seconds=seconds)
        samples = [
            [(await throughput(client, fleet, seconds=seconds, in_flight=count)).rate for count in _IN_FLIGHT]
            for _ in range(rounds)
        ]
    return [(count, median(rates)) for count, *rates in zip(_IN_FLIGHT, *samples, strict=True)]


def _plot(points: list[Point]) -> str:
    return line_plot(
        "Durable no-op tasks, end to end",
        [Series("Tercio on etcd, default fsync", points)],
        x_label="tasks under way",
        y_label="tasks a second",
    )


def _table(points: list[Point]) -> str:
    rows = [f"| {count:,.0f} | {rate:,.0f} |" for count, rate in points]
    return "\n".join(["| tasks under way | tasks/s |", "|---|---|", *rows])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batching", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="each measures every load once (default: %(default)s)")
    parser.add_argument("--plot", type=Path, help="write an SVG there")
    parser.add_argument("--json", action="store_true", help="tasks a second by tasks under way, for programs")
    parser.add_argument("--folder", help="where etcd writes; a file system with a real fsync (default: the system's)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
