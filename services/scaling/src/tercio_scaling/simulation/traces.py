"""Traces: when tasks arrive and how long they run. Seeded ones for what scaling must cope with, and any CSV."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

HOUR_MS: Final = 3_600_000
_SPREAD: Final = 0.5
"""Sigma of the logarithm of a duration: one task in twenty runs for more than twice the median."""


class Task(NamedTuple):
    """One task: when it arrives and how long it runs, in ms."""

    arrives: int
    runs: int


class Trace(NamedTuple):
    """Tasks in the order of their arrival; what began before `judged_from` ms is played and not judged."""

    name: str
    tasks: tuple[Task, ...]
    judged_from: int = 0


def steady(seed: int) -> Trace:
    """Return six hours of the same load: 24 busy slots on average."""
    return Trace("steady", _tasks(seed, 6 * HOUR_MS, lambda _: 24.0))


def burst(seed: int) -> Trace:
    """Return six hours of little load, with ten minutes of much in each of them."""
    return Trace("burst", _tasks(seed, 6 * HOUR_MS, lambda at: 60.0 if at % HOUR_MS < HOUR_MS // 6 else 6.0))


def daily_wave(seed: int) -> Trace:
    """Return four days that swing between 4 and 76 busy slots; the last one is judged."""

    def load(at: int) -> float:
        return 40.0 - 36.0 * math.cos(2 * math.pi * at / (24 * HOUR_MS))

    return Trace("daily_wave", _tasks(seed, 96 * HOUR_MS, load), judged_from=72 * HOUR_MS)


def flash_crowd(seed: int) -> Trace:
    """Return four hours in which the load rises ninefold within a minute, and falls over an hour."""

    def load(at: int) -> float:
        since = at - HOUR_MS
        return 8.0 if since < 0 else 8.0 + 64.0 * min(1.0, since / 60_000) * math.exp(-since / (HOUR_MS / 2))

    return Trace("flash_crowd", _tasks(seed, 4 * HOUR_MS, load))


def decay(seed: int) -> Trace:
    """Return six hours in which the load falls to nothing."""
    return Trace("decay", _tasks(seed, 6 * HOUR_MS, lambda at: 64.0 * math.exp(-at / HOUR_MS)))


TRACES: Final[dict[str, Callable[[int], Trace]]] = {
    each.__name__: each for each in (steady, burst, daily_wave, flash_crowd, decay)
}


def read_csv(path: Path) -> Trace:
    """Read a trace with the columns `arrives_s` and `runs_s`, in seconds.

    Raises:
        ValueError: a column is missing, or a number is none or negative; names the line.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if not {"arrives_s", "runs_s"} <= set(rows.fieldnames or ()):
            raise ValueError(f"{path}: the first line must name arrives_s and runs_s")
        return Trace(path.stem, tuple(sorted(_read(path, number, row) for number, row in enumerate(rows, 2))))


def _read(path: Path, number: int, row: dict[str, str]) -> Task:
    try:
        task = Task(round(float(row["arrives_s"]) * 1000), round(float(row["runs_s"]) * 1000))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}:{number}: arrives_s and runs_s must be numbers of seconds") from error
    if min(task) < 0:
        raise ValueError(f"{path}:{number}: arrives_s and runs_s must not be negative")
    return task


def _tasks(seed: int, length_ms: int, load: Callable[[int], float], *, mean_ms: int = 120_000) -> tuple[Task, ...]:
    """Return Poisson arrivals that keep `load` slots busy on average, by thinning (Lewis and Shedler 1979)."""
    rng = random.Random(seed)
    peak = max(load(at) for at in range(0, length_ms, 10_000)) / mean_ms
    median = mean_ms / math.exp(_SPREAD**2 / 2)
    found, at = [], 0.0
    while (at := at + rng.expovariate(peak)) < length_ms:
        if rng.random() * peak * mean_ms < load(int(at)):
            found.append(Task(int(at), max(1, round(rng.lognormvariate(math.log(median), _SPREAD)))))
    return tuple(found)


def occupancy(tasks: Iterable[Task]) -> list[tuple[int, int]]:
    """Return how many slots would be busy if nobody ever waited: (from when, how many), in order."""
    steps = sorted([(task.arrives, 1) for task in tasks] + [(task.arrives + task.runs, -1) for task in tasks])
    busy, found = 0, []
    for at, step in steps:
        busy += step
        found.append((at, busy))
    return found
