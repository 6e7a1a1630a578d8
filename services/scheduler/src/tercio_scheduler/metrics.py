"""Every series of the scheduler. What only a leader knows is 0 on the other replicas."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tercio_scheduler.state.columns import WorkColumns
from tercio_scheduler.state.commands import AttemptKey
from tercio_scheduler.state.rows import Outcome, TaskRow
from tercio_scheduler.state.views import TaskCounts

TASKS = Gauge("tercio_scheduler_tasks", "Tasks that the leader keeps, by what they wait for.", ("state",))
LIVE_BYTES = Gauge("tercio_scheduler_live_bytes", "About the size of all tasks in a snapshot.")
AGENTS = Gauge("tercio_scheduler_agents", "Agents with an open Work stream.")
SUBMITTED = Counter(
    "tercio_scheduler_submitted_tasks", "Tasks that were submitted, by what became of them.", ("outcome",)
)
ATTEMPTS = Counter("tercio_scheduler_attempts", "Attempts that ended, by how.", ("outcome",))
STALE = Counter("tercio_scheduler_stale_attempts", "Reports of attempts that were not their task's present one.")
RECALLED = Counter("tercio_scheduler_recalled_attempts", "Offered attempts that agents were asked to return.")
COMMITS = Counter("tercio_scheduler_commits", "Commits to the journal.")
STREAMS = Gauge("tercio_scheduler_streams", "Open streams.", ("kind",))

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)


class BatchHistogram(Collector):
    """A histogram that takes many equal observations at once: the hot path has a frame, not a task, at a time."""

    def __init__(self, name: str, documentation: str, *, bounds: Sequence[float]) -> None:
        self._name, self._documentation = name, documentation
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, *, count: int = 1) -> None:
        """Count `value` that many times."""
        self._counts[bisect_left(self._bounds, value)] += count
        self._sum += value * count

    def collect(self) -> Iterator[Metric]:
        """Give the one series to Prometheus' client."""
        names = (*map(str, self._bounds), "+Inf")
        buckets = list(zip(names, map(float, accumulate(self._counts)), strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, buckets=buckets, sum_value=self._sum)


ASSIGN_SECONDS = BatchHistogram(
    "tercio_scheduler_assign_seconds", "From ready to offered, in fleet time.", bounds=_BUCKETS
)
REGISTRY.register(ASSIGN_SECONDS)

_ENDED = {outcome: ATTEMPTS.labels(outcome.name.lower()) for outcome in Outcome}
_SUBMITTED = tuple(SUBMITTED.labels(outcome) for outcome in ("accepted", "known", "refused"))
_TAKEN = {"ATTEMPT_TIMEOUT": ATTEMPTS.labels("timed_out"), "AGENT_LOST": ATTEMPTS.labels("lost")}


def count_commit(_seq: int) -> None:
    """Count one commit."""
    COMMITS.inc()


def show_tasks(counts: TaskCounts, *, live_bytes: int) -> None:
    """Set what a leader knows of its tasks."""
    TASKS.labels("waiting").set(counts.kept - counts.ready - counts.held - counts.finished)
    TASKS.labels("ready").set(counts.ready)
    TASKS.labels("held").set(counts.held)
    TASKS.labels("finished").set(counts.finished)
    LIVE_BYTES.set(live_bytes)


def count_report(columns: WorkColumns, stale: Collection[AttemptKey]) -> None:
    """Count what one report said; what was stale is counted apart."""
    ended, outcomes = columns.ended, columns.outcomes
    if stale:
        STALE.inc(len(stale))
        outcomes = [
            outcomes[index] if outcomes else Outcome.SUCCEEDED
            for index, task_id in enumerate(ended.task_ids)
            if AttemptKey(task_id, ended.epoch(index), ended.numbers[index]) not in stale
        ]
    elif not outcomes:
        _ENDED[Outcome.SUCCEEDED].inc(len(ended.task_ids))
    for outcome, count in Counts(outcomes).items():
        _ENDED[outcome].inc(count)


def count_submitted(*, accepted: int, known: int, refused: int) -> None:
    """Count the tasks of one submission."""
    for series, count in zip(_SUBMITTED, (accepted, known, refused), strict=True):
        if count:
            series.inc(count)


def count_taken(reason: str) -> None:
    """Count an attempt that was taken from its agent, by the reason of its error."""
    _TAKEN[reason].inc()


def observe_waits(rows: Iterable[TaskRow], *, now: int) -> None:
    """Observe how long tasks that are offered now were ready; tasks of one frame share the moment."""
    counts: dict[int, int] = {}
    for row in rows:
        since = row.ready.now
        counts[since] = counts.get(since, 0) + 1
    for since, count in counts.items():
        ASSIGN_SECONDS.observe((now - since) / 1000, count=count)
