"""The board: who works on what, as the scheduler and agents last told. Session state: they tell a new leader again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from tercio_conflicts.state.situation import Work

LASTS_MS: Final = 60_000
"""Who has not told anything for so long is left out: four reports of the scheduler are missing."""
MOST_WORK: Final = 50_000


class _Report(NamedTuple):
    told: int
    work: tuple[Work, ...]
    capacities: tuple[tuple[str, int], ...]


class Board:
    """What each reporter told last; a later report of the same one replaces its former."""

    def __init__(self) -> None:
        self._reports: dict[str, _Report] = {}

    def tell(self, reporter: str, work: Iterable[Work], capacities: Mapping[str, int], *, now: int) -> None:
        """Note what a reporter tells."""
        self._reports[reporter] = _Report(now, tuple(work), tuple(sorted(capacities.items())))
        for each in [name for name, report in self._reports.items() if now - report.told > LASTS_MS]:
            del self._reports[each]

    def work(self, now: int) -> Iterator[Work]:
        """Give everything that is worked on; what two tell of one task and agent is told once."""
        seen: set[tuple[str, str]] = set()
        for name in sorted(self._reports):
            report = self._reports[name]
            for each in report.work if now - report.told <= LASTS_MS else ():
                if (each.task_id, each.agent_id) not in seen:
                    seen.add((each.task_id, each.agent_id))
                    yield each

    def is_told(self, now: int) -> bool:
        """Tell whether anybody has told anything lately."""
        return any(now - report.told <= LASTS_MS for report in self._reports.values())

    def capacities(self, now: int) -> dict[str, int]:
        """Return how much compute there is, by dimension."""
        fresh = [report for _, report in sorted(self._reports.items()) if now - report.told <= LASTS_MS]
        return {dimension: amount for report in fresh for dimension, amount in report.capacities}

    def room(self, reporter: str) -> int:
        """Return how much work a reporter may tell."""
        return MOST_WORK - sum(len(report.work) for name, report in self._reports.items() if name != reporter)
