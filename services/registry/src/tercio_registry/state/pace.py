"""Whether an agent has become slow: the moving average of its durations against its own past and against the others.

Its own past is the mean over everything that it ever did of a type, which the moving average outruns for some dozens of
attempts. Types of which too little is known do not count, and of those that do, only such as it has just ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from tercio_registry.state.agents import Ailment
from tercio_registry.state.performance import Performance, PerformanceRow, TypeHistory
from tercio_registry.state.rules import Rules
from tercio_registry.state.vitals import Sign

KNOWN_SUCCESSES: Final = 200
"""Of a type, from which an agent has a past: a mean over fewer follows the moving average too closely."""
FEWEST_OTHERS: Final = 2
"""Agents whose mean another one is compared with: against a single one nobody knows who is slow."""


class _Pace(NamedTuple):
    """Sums over types, in microseconds: what an attempt takes, and what it should."""

    actual: int = 0
    expected: int = 0


def pace_sign(performance: Performance, former: PerformanceRow | None, row: PerformanceRow, rules: Rules) -> Sign:
    """Return what a record says of an agent's pace; `former` is its row before that record."""
    ended = list(_ended(former, row))
    found = [pace for pace in (_own(ended), _among_others(performance, ended)) if pace.expected]
    if not rules.slow_percent or not found:
        return Sign(Ailment.SLOW, None)
    worst = max(pace.actual * 100 // pace.expected for pace in found)
    if worst >= rules.slow_percent:
        return Sign(Ailment.SLOW, False)
    return Sign(Ailment.SLOW, True if worst * 100 < rules.slow_percent * rules.recovered_percent else None)


def _ended(former: PerformanceRow | None, row: PerformanceRow) -> Iterator[TypeHistory]:
    before = {each.task_type: each.succeeded for each in former.types} if former is not None else {}
    return (each for each in row.types if each.succeeded > before.get(each.task_type, 0))


def _own(types: Iterable[TypeHistory]) -> _Pace:
    known = [each for each in types if each.succeeded >= KNOWN_SUCCESSES]
    return _Pace(sum(each.average_micros for each in known), sum(each.mean_micros for each in known))


def _among_others(performance: Performance, types: Iterable[TypeHistory]) -> _Pace:
    known = [(each, mean) for each in types if (mean := performance.others(each, fewest=FEWEST_OTHERS))]
    return _Pace(sum(each.average_micros for each, _ in known), sum(mean for _, mean in known))
