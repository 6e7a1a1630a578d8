"""How well agents do each type of task: exponential moving averages over what their heartbeats count.

A process counts what it ended since it started, and these totals are what is recorded: the difference to the last
record is new, so what comes twice counts once, and a new leader goes on where the journal ends. Only the present
process's totals are known apart: one that takes its id back from another counts from its start again. A moving average
takes n new attempts with mean m as n attempts of m each: it keeps 0.9 ** n of itself. Averages are whole numbers, so
that replay and snapshot agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from tercio_common.machine.table import Table, TableStore
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.events import PerformanceRecorded
from tercio_registry.state.totals import (
    MOST_MEASURES,
    MOST_TOTAL,
    MOST_TYPES,
    NO_TOTALS,
    Counted,
    Measured,
    Totals,
)

PERFORMANCE: Final = "performance"
_MILLION: Final = 1_000_000
_RATE: Final = 0.1
_TOLD_AT: Final = 5
"""Percentage points by which a score moves before watchers hear of it."""


class MeasureHistory(NamedTuple):
    """Something that handlers measured of one type of task.

    Attributes:
        former_times: attempts of former processes of which it was measured.
        times, sum_micros: attempts of the present one, and the sum of the values in millionths.
        average_micros: moving average, in millionths.
    """

    name: str
    former_times: int = 0
    times: int = 0
    sum_micros: int = 0
    average_micros: int = 0

    @property
    def total_times(self) -> int:
        """Attempts of all processes."""
        return self.former_times + self.times


class TypeHistory(NamedTuple):
    """What an agent did of one type of task.

    Attributes:
        former: totals of its former processes.
        present: of the present one.
        success_ppm: moving average of successes, in millionths.
        average_micros: moving average of the run time of successes; 0 until there is one.
        measures: what handlers measured, the least recently measured first.
    """

    task_type: str
    former: Totals = NO_TOTALS
    present: Totals = NO_TOTALS
    success_ppm: int = 0
    average_micros: int = 0
    measures: tuple[MeasureHistory, ...] = ()

    @property
    def succeeded(self) -> int:
        """Attempts that succeeded, of all processes."""
        return self.former.succeeded + self.present.succeeded

    @property
    def failed(self) -> int:
        """Attempts that failed, of all processes."""
        return self.former.failed + self.present.failed

    @property
    def mean_micros(self) -> int:
        """Mean run time of all successes; 0 until there is one."""
        return (self.former.run_micros + self.present.run_micros) // max(1, self.succeeded)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceRow:
    """One agent's history; `types` has the least recently counted first."""

    agent_id: str
    instance_id: bytes
    types: tuple[TypeHistory, ...]

    @property
    def size_bytes(self) -> int:
        """About what the row costs in a snapshot."""
        measures = sum(28 + len(measure.name) for each in self.types for measure in each.measures)
        return 40 + len(self.agent_id) + measures + sum(48 + len(each.task_type) for each in self.types)


class Performance:
    """The table of histories, and how the fleet does each type; an index of its own table."""

    def __init__(self, store: TableStore) -> None:
        """Add the table to `store`."""
        self.table: Table[PerformanceRow] = Table(PERFORMANCE, lambda row: row.agent_id, store=store, fed=False)
        self.size_bytes = 0
        self._sums: Counter[str] = Counter()
        self._agents: Counter[str] = Counter()
        self.table.add_index(self)

    def changed(self, key: str, old: PerformanceRow | None, new: PerformanceRow | None) -> None:
        """See `Index`."""
        if old is not None:
            self._count(old, -1)
        if new is not None:
            self._count(new, 1)

    def record(self, counted: Iterable[Counted], *, known: Table[AgentRow], may_grow: bool) -> PerformanceRecorded:
        """Decide what to record of what agents counted; types that are new only where there is room for them."""
        kept = (each if may_grow else self._without_new_types(each) for each in counted if each.agent_id in known)
        return PerformanceRecorded(tuple(each for each in kept if each.types))

    def apply(self, event: PerformanceRecorded) -> Iterator[tuple[str, tuple[tuple[str, int], ...]]]:
        """Change the table; give each agent with its scores in percent, by type."""
        for counted in event.agents:
            row = after(self.table.get(counted.agent_id), counted)
            self.table.put(row)
            yield row.agent_id, tuple(sorted((each.task_type, self.score(each) // 10_000) for each in row.types))

    def forget(self, agent_id: str) -> None:
        """Forget an agent with its history, if there is one."""
        if agent_id in self.table:
            self.table.delete(agent_id)

    def score(self, history: TypeHistory) -> int:
        """Return the success rate times the time efficiency, in millionths."""
        return self._in_time(history, history.success_ppm)

    def efficiency(self, history: TypeHistory) -> int:
        """Return the fleet's mean duration divided by the agent's own, at most 1, in millionths."""
        return self._in_time(history, _MILLION)

    def others(self, history: TypeHistory, *, fewest: int) -> int:
        """Return the mean over the other agents of how long an attempt of that type runs; 0 if they are too few."""
        others = self._agents[history.task_type] - 1
        return (self._sums[history.task_type] - history.average_micros) // others if others >= fewest else 0

    def _in_time(self, history: TypeHistory, most: int) -> int:
        own, agents = history.average_micros, self._agents[history.task_type]
        return min(most, most * self._sums[history.task_type] // (agents * own)) if own and agents else 0

    def _without_new_types(self, counted: Counted) -> Counted:
        row = self.table.get(counted.agent_id)
        known = {each.task_type: each.measures for each in row.types} if row is not None else {}
        kept = []
        for name, totals in counted.types:
            if name in known:
                names = {each.name for each in known[name]}
                kept.append((name, totals._replace(measures=tuple(m for m in totals.measures if m.name in names))))
        return replace(counted, types=tuple(kept))

    def _count(self, row: PerformanceRow, by: int) -> None:
        self.size_bytes += by * row.size_bytes
        for each in row.types:
            if each.average_micros:
                self._sums[each.task_type] += by * each.average_micros
                self._agents[each.task_type] += by
                if not self._agents[each.task_type]:
                    del self._agents[each.task_type], self._sums[each.task_type]


def after(row: PerformanceRow | None, counted: Counted) -> PerformanceRow:
    """Return the row after these totals."""
    histories = {each.task_type: each for each in row.types} if row is not None else {}
    if row is not None and row.instance_id != counted.instance_id:
        histories = {name: _as_former(each) for name, each in histories.items()}
    for task_type, totals in counted.types:
        history = histories.pop(task_type, TypeHistory(task_type))
        histories[task_type] = _with(history, totals)  # now the last
    kept = tuple(histories.values())[-MOST_TYPES:]
    return PerformanceRow(agent_id=counted.agent_id, instance_id=counted.instance_id, types=kept)


def told(row: AgentRow, scores: tuple[tuple[str, int], ...], seq: int) -> AgentRow | None:
    """Return the row with these scores, or None while none moved enough to tell watchers."""
    former = dict(row.performance)
    if former.keys() == dict(scores).keys() and all(abs(score - former[name]) < _TOLD_AT for name, score in scores):
        return None
    return replace(row, performance=scores, changed_seq=seq)


def _with(history: TypeHistory, totals: Totals) -> TypeHistory:
    before = history.present
    succeeded = max(0, totals.succeeded - before.succeeded)
    failed = max(0, totals.failed - before.failed)
    ended = succeeded + failed
    is_first = not history.succeeded + history.failed
    success, average = history.success_ppm, history.average_micros
    if ended:
        success = _moved(None if is_first else success, succeeded * _MILLION // ended, ended)
    if succeeded:
        mean = max(1, (totals.run_micros - before.run_micros) // succeeded)
        average = _moved(average or None, mean, succeeded)
    present = Totals(
        max(totals.succeeded, before.succeeded),
        max(totals.failed, before.failed),
        max(totals.run_micros, before.run_micros),
    )
    measures = _measured(history.measures, totals.measures)
    return history._replace(present=present, success_ppm=success, average_micros=average, measures=measures)


def _measured(known: tuple[MeasureHistory, ...], told: tuple[Measured, ...]) -> tuple[MeasureHistory, ...]:
    histories = {each.name: each for each in known}
    for name, times, total in told:
        history = histories.get(name, MeasureHistory(name))
        if times <= history.times:
            continue  # nothing new
        mean = max(0, total - history.sum_micros) // (times - history.times)
        former = history.average_micros if history.total_times else None
        average = _moved(former, mean, times - history.times)
        histories.pop(name, None)
        histories[name] = history._replace(times=times, sum_micros=total, average_micros=average)  # now the last
    return tuple(histories.values())[-MOST_MEASURES:]


def _moved(average: int | None, mean: int, count: int) -> int:
    if average is None:
        return mean
    return round(mean + (average - mean) * (1 - _RATE) ** count)


def _as_former(history: TypeHistory) -> TypeHistory:
    measures = tuple(
        each._replace(former_times=min(MOST_TOTAL, each.total_times), times=0, sum_micros=0)
        for each in history.measures
    )
    former = Totals(
        min(MOST_TOTAL, history.succeeded),
        min(MOST_TOTAL, history.failed),
        min(MOST_TOTAL, history.former.run_micros + history.present.run_micros),
    )
    return history._replace(former=former, present=NO_TOTALS, measures=measures)
