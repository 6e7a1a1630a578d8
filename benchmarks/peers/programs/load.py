"""The load that every peer is put under, and how it tells what it measured.

Only the standard library: each program runs in the virtual environment of its peer. A closed loop keeps a fixed number
of no-op tasks under way, in batches, and counts those whose result the client has seen.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import TypeVar

Batch = TypeVar("Batch")

WARM_UP_S = 1.0
PACED_RATE = 50
"""Tasks a second while latency is measured."""


def arguments() -> argparse.Namespace:
    """Return what the runner asks for: the length of both measurements, a folder for files, the server's program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--paced-seconds", type=float, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--server", default="")
    parser.add_argument("--fsync", action="store_true", help="the server syncs every write to the disk")
    return parser.parse_args()


def measure(
    submit: Callable[[int], Batch],
    wait: Callable[[Batch], object],
    *,
    batch: int,
    batches: int,
    asked: argparse.Namespace,
) -> dict[str, float]:
    """Return tasks, seconds, p50_ms and p99_ms.

    Args:
        submit: starts so many tasks, without waiting for them.
        wait: returns when the client has the result of each of them.
        batch: tasks a batch.
        batches: how many batches are under way at once.
        asked: what `arguments` returned.
    """
    fill(submit, wait, batch=batch, batches=batches, seconds=WARM_UP_S)
    tasks, seconds = fill(submit, wait, batch=batch, batches=batches, seconds=asked.seconds)
    times = paced(lambda: wait(submit(1)), seconds=asked.paced_seconds)
    return {"tasks": tasks, "seconds": seconds, **percentiles(times)}


def fill(
    submit: Callable[[int], Batch], wait: Callable[[Batch], object], *, batch: int, batches: int, seconds: float
) -> tuple[int, float]:
    """Keep the peer full for that long and wait for the rest; return the tasks and the seconds they took in all."""
    began = time.perf_counter()
    under_way = deque(submit(batch) for _ in range(batches))
    tasks = batch * batches
    while under_way:
        wait(under_way.popleft())
        if time.perf_counter() - began < seconds:
            under_way.append(submit(batch))
            tasks += batch
    return tasks, time.perf_counter() - began


def paced(one: Callable[[], object], *, seconds: float) -> list[float]:
    """Run one task at a time, at most 50 a second; return how long each took in milliseconds."""
    times = []
    due = time.perf_counter()
    for _ in range(max(int(seconds * PACED_RATE), 2)):
        time.sleep(max(due - time.perf_counter(), 0))
        due += 1 / PACED_RATE
        began = time.perf_counter()
        one()
        times.append((time.perf_counter() - began) * 1000)
    return times


def percentiles(times: list[float]) -> dict[str, float]:
    """Return p50_ms and p99_ms."""
    return {"p50_ms": median(times), "p99_ms": quantiles(times, n=100, method="inclusive")[98]}


def tell(measured: dict[str, float], distributions: Iterable[str], **others: str) -> None:
    """Print the result for the runner: one line of JSON, the last of the output."""
    versions = {**{name: version(name) for name in distributions}, **others}
    print(json.dumps({**measured, "versions": versions}), flush=True)
