"""Compares samples: medians over rounds, ratios that the machine's drift does not touch, and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.peers.catalogue import TERCIO, Peer

SCHEDULER_MICROS_BAR: Final = 20.0
"""Processor time of the scheduler a task, in microseconds."""
P50_MS_BAR: Final = 8.0
P99_MS_BAR: Final = 25.0
"""Latency at 50 tasks a second, in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One participant in one round.

    Attributes:
        rate: tasks a second whose result the client saw.
        p50_ms: median time from submission to result at no more than 50 tasks a second.
        p99_ms: the same, 99th percentile.
        calibration_ms: time of the calibration loop just before.
        scheduler_micros: processor time of the scheduler a task; 0 for peers.
        versions: of what took part.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    calibration_ms: float
    versions: Mapping[str, str]
    scheduler_micros: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """One bar: what was measured, what was wanted, and whether that was reached."""

    what: str
    measured: str
    bar: str
    passed: bool


def ratio(ours: Sequence[Sample], theirs: Sequence[Sample]) -> float:
    """Return the median over rounds of our rate ÷ theirs, each in units of the calibration loop.

    A participant on a machine that was just then half as fast did half as many tasks a second, but as many in the time
    of one loop.
    """
    return median(
        (one.rate * one.calibration_ms) / (other.rate * other.calibration_ms)
        for one, other in zip(ours, theirs, strict=False)
    )


def verdicts(samples: Mapping[str, Sequence[Sample]], peers: Sequence[Peer]) -> list[Verdict]:
    """Return the verdict on every bar that the samples can tell about."""
    ours = samples.get(TERCIO)
    if not ours:
        return []
    return [
        *(_at_least(peer, ratio(ours, samples[peer.name])) for peer in peers if peer.bar and samples.get(peer.name)),
        _at_most("scheduler", median(one.scheduler_micros for one in ours), SCHEDULER_MICROS_BAR, "µs CPU a task"),
        _at_most("p50 at 50 tasks/s", median(one.p50_ms for one in ours), P50_MS_BAR, "ms"),
        _at_most("p99 at 50 tasks/s", median(one.p99_ms for one in ours), P99_MS_BAR, "ms"),
    ]


def _at_least(peer: Peer, found: float) -> Verdict:
    return Verdict(f"rate ÷ {peer.title}", f"{found:.1f} ×", f"≥ {peer.bar:g} ×", found >= peer.bar)


def _at_most(what: str, found: float, bar: float, unit: str) -> Verdict:
    return Verdict(what, f"{found:.1f} {unit}", f"≤ {bar:g}", found <= bar)
