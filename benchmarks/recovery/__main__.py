"""`python -m benchmarks.recovery`: measures crashes, snapshots, an hour of work and a full store beside their bars."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import uvloop

from benchmarks.bars import Bar, as_json, as_table
from benchmarks.recovery import failover, full_store, hour, stalls
from benchmarks.servers import Bench

_PARTS = ("failover", "stalls", "hour", "full-store")


def main() -> int:
    """Measure; return the exit code: 1 when a bar is missed."""
    arguments = _arguments()
    scale = 100 if arguments.smoke else 1
    with tempfile.TemporaryDirectory(prefix="tercio-recovery-", dir=arguments.folder) as folder:
        found = uvloop.run(_measured(arguments.parts, Path(folder), scale))
    print((as_json if arguments.json else as_table)(found))
    return 0 if arguments.smoke or all(bar.holds for bar in found) else 1


async def _measured(parts: list[str], folder: Path, scale: int) -> list[Bar]:
    found: list[Bar] = []
    if "failover" in parts:
        async with Bench.running(folder / "failover") as bench:
            found += await failover.bars(bench, live=100_000 // scale, replayed=1_000_000 // scale)
    if "stalls" in parts:
        async with Bench.running(folder / "stalls") as bench:
            found += await stalls.bars(bench, tasks=1_000_000 // min(scale, 10))
    if "hour" in parts:
        async with Bench.running(folder / "hour") as bench:
            bars, samples = await hour.bars(bench, tasks=3_600_000 // scale, retention=200_000 // scale)
            found += bars
            for one in samples[:: max(1, len(samples) // 12)]:
                print(f"{one.tasks:>9,} tasks  etcd in use {one.in_use_mb:6.1f} MB, file {one.file_mb:6.1f} MB")
    if "full-store" in parts:
        inner = folder / "full-store"
        inner.mkdir()
        found += await full_store.bars(inner, seconds=max(5.0, 60 / scale))
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"which, all if none: {', '.join(_PARTS)}")
    parser.add_argument("--smoke", action="store_true", help="a hundredth of everything, to see that it works")
    parser.add_argument("--json", action="store_true", help="everything that was measured, for programs")
    parser.add_argument("--folder", help="where etcd writes; a file system with a real fsync (default: the system's)")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(_PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(_PARTS)}")
    arguments.parts = arguments.parts or list(_PARTS)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
