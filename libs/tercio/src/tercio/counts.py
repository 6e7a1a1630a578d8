"""What this process has done, by type of task: told to the registry with heartbeats.

Totals only rise, so that one that is told twice, or to another leader, counts once.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from tercio.api.registry.v1 import performance_pb2
from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.attempts import Attempt

# The contract's bound; what does not fit goes with the next heartbeat.
_MOST_TYPES: Final = 64

MOST_MEASURES: Final = 8
"""Of one type; the contract's bound."""

# The contract's as well: sums stay under it for as long as anybody measures.
_MOST_TOTAL: Final = 1 << 56

_COUNTED: Final = {work_pb2.OUTCOME_SUCCEEDED: 0, work_pb2.OUTCOME_FAILED: 1}


class TaskCounts:
    """Totals per type: attempts that succeeded and failed, and how long those that succeeded ran, in microseconds."""

    def __init__(self) -> None:
        """Start with none."""
        self._totals: dict[str, list[int]] = {}
        self._untold: dict[str, None] = {}
        self._measures: dict[str, dict[str, tuple[int, int]]] = {}

    def ended(self, attempt: Attempt) -> None:
        """Count an attempt; cancelled ones say nothing about the agent."""
        place = _COUNTED.get(attempt.outcome)
        if place is None:
            return
        totals = self._totals.setdefault(attempt.task_type, [0, 0, 0])
        totals[place] += 1
        if not place:
            totals[2] += attempt.run_micros
        for name, value in (attempt.measures or {}).items():
            self._add(attempt.task_type, name, value)
        self._untold[attempt.task_type] = None

    def _add(self, task_type: str, name: str, value: float) -> None:
        measures = self._measures.setdefault(task_type, {})
        if name not in measures and len(measures) >= MOST_MEASURES:
            return
        count, micros = measures.get(name, (0, 0))
        measures[name] = count + 1, min(_MOST_TOTAL, micros + round(value * 1_000_000))

    def sums(self) -> tuple[int, int]:
        """Return how many attempts succeeded and failed, of all types."""
        return sum(each[0] for each in self._totals.values()), sum(each[1] for each in self._totals.values())

    def tell_all_again(self) -> None:
        """Begin anew: the other side may know nothing."""
        self._untold = dict.fromkeys(self._totals)

    def take_untold(self) -> performance_pb2.TaskTotals | None:
        """Return totals that changed since they were taken last, the oldest changes first; None when none did."""
        if not self._untold:
            return None
        names = list(islice(self._untold, _MOST_TYPES))
        columns = zip(*(self._totals[name] for name in names), strict=True)
        for name in names:
            del self._untold[name]
        succeeded, failed, run_micros = columns
        told = performance_pb2.TaskTotals(task_types=names, succeeded=succeeded, failed=failed, run_micros=run_micros)
        for index, task_type in enumerate(names):
            for name, (count, micros) in self._measures.get(task_type, {}).items():
                told.measures.add(task_type_index=index, name=name, count=count, sum_micros=micros)
        return told
