"""What an agent says of its own condition, and whether that speaks for or against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tercio_registry.state.agents import Ailment
from tercio_registry.state.rules import Rules


class Vitals(NamedTuple):
    """One report. What is 0 is not judged.

    Attributes:
        cpu_ratio: CPU time per time since the last report; 1 is one core.
        memory_used, memory_limit: bytes where the agent runs.
        disk_used, disk_total: bytes of the disk that it works on.
        queue_length, queue_limit: attempts that it holds and has not begun.
        failed, succeeded: attempts since the last report.
        loop_lag: ms by which the report was late.
    """

    cpu_ratio: float = 0.0
    memory_used: int = 0
    memory_limit: int = 0
    disk_used: int = 0
    disk_total: int = 0
    queue_length: int = 0
    queue_limit: int = 0
    failed: int = 0
    succeeded: int = 0
    loop_lag: int = 0


class Sign(NamedTuple):
    """One observation: `good` is None when it speaks neither for nor against the agent."""

    ailment: Ailment
    good: bool | None


def signs(vitals: Vitals, rules: Rules) -> Iterator[Sign]:
    """Give what a report says of each ailment that it tells about, apart from errors, which are counted over several.

    What comes down from over a threshold is good again only under `Rules.recovered_percent` of it: an agent that
    hovers about a threshold keeps its verdict.
    """
    for ailment, used, limit, threshold in (
        (Ailment.MEMORY_EXHAUSTED, vitals.memory_used, vitals.memory_limit, rules.memory_percent),
        (Ailment.DISK_EXHAUSTED, vitals.disk_used, vitals.disk_total, rules.disk_percent),
        (Ailment.QUEUE_FULL, vitals.queue_length, vitals.queue_limit, rules.queue_percent),
    ):
        if limit:
            yield Sign(ailment, _is_good(used, limit, threshold, rules))


def error_sign(failed: int, succeeded: int, rules: Rules) -> Sign:
    """Return what so many attempts say of the error rate."""
    return Sign(Ailment.HIGH_ERROR_RATE, _is_good(failed, failed + succeeded, rules.error_percent, rules))


def _is_good(part: int, whole: int, threshold: int, rules: Rules) -> bool | None:
    if part * 100 >= whole * threshold:
        return False
    return True if part * 10_000 < whole * threshold * rules.recovered_percent else None
