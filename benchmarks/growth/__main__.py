"""`python -m benchmarks.growth`: measures what grows with the fleet and prints it beside its bars."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import uvloop

from benchmarks.bars import Bar, as_json, as_table
from benchmarks.growth import queue, queue_state, registry, registry_state, streams
from benchmarks.plots import Series, line_plot
from benchmarks.servers import Bench

_PARTS = ("queue-state", "registry-state", "queue", "streams", "registry")


def main() -> int:
    """Measure; return the exit code: 1 when a bar is missed."""
    arguments = _arguments()
    scale, seconds, rounds = (100, 1.0, 1) if arguments.smoke else (1, arguments.seconds, 3)
    found: list[Bar] = []
    if "queue-state" in arguments.parts:
        found += queue_state.bars(few=10_000 // min(scale, 10), many=1_000_000 // scale)
    if "registry-state" in arguments.parts:
        found += registry_state.bars(few=10_000 // min(scale, 10), many=100_000 // min(scale, 10))
    with tempfile.TemporaryDirectory(prefix="tercio-growth-", dir=arguments.folder) as folder:
        found += uvloop.run(_with_processes(arguments.parts, Path(folder), scale, seconds, rounds))
    if arguments.plot:
        arguments.plot.write_text(_plot(100_000 // scale))
    print((as_json if arguments.json else as_table)(found))
    return 0 if arguments.smoke or all(bar.holds for bar in found) else 1


def _plot(longest: int) -> str:
    backlogs = [longest * share // 100 for share in (1, 3, 10, 30, 100, 300, 1000)]
    cost = Series("scheduler's pure state", queue_state.points(backlogs))
    return line_plot("Cost against backlog", [cost], x_label="queued tasks", y_label="µs of CPU a task")


async def _with_processes(parts: list[str], folder: Path, scale: int, seconds: float, rounds: int) -> list[Bar]:
    found: list[Bar] = []
    if "queue" in parts:
        async with Bench.running(folder / "queue") as bench:
            found += await queue.bars(
                bench, few=10_000 // min(scale, 10), many=1_000_000 // scale, seconds=seconds, rounds=rounds
            )
    if "streams" in parts:
        async with Bench.running(folder / "streams") as bench:
            found += await streams.bars(bench, many=1_000 // scale, seconds=seconds)
    if "registry" in parts:
        async with Bench.running(folder / "registry") as bench:
            found += await registry.bars(bench, agents=10_000 // scale, seconds=4 * seconds)
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"which, all if none: {', '.join(_PARTS)}")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="a hundredth of everything, to see that it works")
    parser.add_argument("--json", action="store_true", help="everything that was measured, for programs")
    parser.add_argument("--plot", type=Path, help="where to draw cost against backlog, as SVG")
    parser.add_argument("--folder", help="where etcd writes; a file system with a real fsync (default: the system's)")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(_PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(_PARTS)}")
    arguments.parts = arguments.parts or list(_PARTS)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
