"""What learning is worth: an ablation against chains that are never reordered, in a world they do not know."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from statistics import fmean
from typing import Final

import pytest

from tercio_conflicts.state.dispute_rows import ConflictRow, ConflictState, Impact, PatternRow
from tercio_conflicts.state.patterns import features_of, learned, ordered
from tercio_conflicts.state.resolutions.chains import CHAINS
from tercio_conflicts.state.severity import Severity

CHAIN: Final = CHAINS["resource_contention"]
WORLD: Final[Mapping[str, tuple[tuple[float, int], ...]]] = {
    "py": ((0.9, 20_000), (0.3, 30_000), (0.5, 30_000)),
    "sql": ((0.1, 60_000), (0.9, 30_000), (0.4, 30_000)),
    "lock": ((0.2, 60_000), (0.2, 30_000), (0.95, 15_000)),
}
"""For conflicts about files of each sort, by strategy: the chance that it helps, and how long a try takes, in ms."""
_PEOPLE_MS: Final = 600_000
"""How long it takes when nothing helped."""


def conflict(extension: str) -> ConflictRow:
    context = (("claimed", "yes"), ("resource", f"src/a.{extension}"), ("type", "file_access"))
    return ConflictRow(
        f"file_conflict_{extension}", 1, "resource_contention", ConflictState.OPEN, Severity.MEDIUM, 1_000, ("a", "b"),
        (), context, (), (), 0, 0, Impact(0, 2, 0, 0),
    )  # fmt: skip


def simulated(seed: int, *, learning: bool, count: int = 400) -> list[int]:
    """Return how long each of a row of conflicts took, in ms."""
    source = random.Random(seed)
    patterns: dict[object, PatternRow] = {}
    took = []
    for number in range(count):
        row = conflict(source.choice(list(WORLD)))
        known = WORLD[dict(row.context)["resource"].rpartition(".")[2]]
        helps = {name: (source.random() < chance, time) for name, (chance, time) in zip(CHAIN, known, strict=True)}
        spent = 0
        for name in ordered(CHAIN, row, patterns.values() if learning else ()):
            succeeded, time = helps[name]
            spent += time
            key = row.type, name, features_of(row)
            patterns[key] = learned(patterns.get(key), row, name, succeeded=succeeded, duration=time, now=number)
            if succeeded:
                break
        else:
            spent += _PEOPLE_MS
        took.append(spent)
    return took


def test_learning_ends_conflicts_sooner_than_a_frozen_order(capsys: pytest.CaptureFixture[str]) -> None:
    seeds = range(20)
    with_it = [simulated(seed, learning=True) for seed in seeds]
    without = [simulated(seed, learning=False) for seed in seeds]
    early, late = fmean(t for row in with_it for t in row[:10]), fmean(t for row in with_it for t in row[200:])
    frozen_early = fmean(t for row in without for t in row[:10])
    frozen_late = fmean(t for row in without for t in row[200:])
    with capsys.disabled():
        sys.stdout.write(
            f"\nmean time to the end, in s: learning {early / 1e3:.1f}, then {late / 1e3:.1f};"
            f" frozen {frozen_early / 1e3:.1f}, then {frozen_late / 1e3:.1f}\n"
        )
    assert late < 0.8 * frozen_late
    assert late < early
    assert abs(frozen_late - frozen_early) < 0.2 * frozen_early
