"""`python -m benchmarks`: starts a fleet, measures it, prints a table."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import uvloop

from benchmarks.fleet import Fleet, running_fleet
from benchmarks.measurements import Latency, Round, latency, throughput
from benchmarks.report import as_json, as_table, environment
from tercio import Client

_WARM_UP_S = 1.0


def main() -> int:
    """Measure; return the exit code."""
    arguments = _arguments()
    seconds, rounds = (1.0, 1) if arguments.smoke else (arguments.seconds, arguments.rounds)
    with (
        tempfile.TemporaryDirectory(prefix="tercio-bench-", dir=arguments.folder) as folder,
        running_fleet(Path(folder), agents=arguments.agents, concurrency=arguments.concurrency) as fleet,
    ):
        os.environ["TERCIO_SCHEDULER_ADDRESS"] = fleet.address
        found, paced = uvloop.run(_measure(fleet, seconds=seconds, rounds=rounds))
        known = environment(fleet.etcd)
    print((as_json if arguments.json else as_table)(found, paced, known))
    return 0


async def _measure(fleet: Fleet, *, seconds: float, rounds: int) -> tuple[list[Round], Latency]:
    async with Client() as client:
        await throughput(client, fleet, seconds=min(_WARM_UP_S, seconds))
        found = [await throughput(client, fleet, seconds=seconds) for _ in range(rounds)]
        return found, await latency(client, seconds=seconds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how many rounds (default: %(default)s)")
    parser.add_argument("--agents", type=int, default=8, help="agents, all in one process (default: %(default)s)")
    parser.add_argument(
        "--concurrency", type=int, default=8, help="attempts an agent runs at once (default: %(default)s)"
    )
    parser.add_argument("--smoke", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--json", action="store_true", help="everything that was measured, for programs")
    parser.add_argument("--folder", help="where etcd writes; a file system with a real fsync (default: the system's)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
