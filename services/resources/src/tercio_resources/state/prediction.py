"""Prediction: what a task will use, drawn from what similar ones used.

Similar are past tasks of the same type; of those the ones with the most labels in common. The prediction is the mean of
what each used at most, and a fifth more, in whole numbers: a mean of means would be too small for every other task.
How far it is off is measured whenever a task ends, before the task itself is learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table
from tercio_resources.state.rows import HistoryRow, PastTask, UsageRow

MOST_TASKS: Final = 32
"""Of a type: enough for a mean, and few enough that a change in how such tasks behave shows soon."""
MOST_TYPES: Final = 256
"""Types are named by callers; beyond this the one of which none has ended for longest is forgotten."""
_MEMORY: Final = 8
"""The error is a moving mean over about so many tasks."""
_LEAST_TASKS: Final = 8
"""Of fewer it is not known how much they differ."""
_MOST_ERROR: Final = 1_000_000


class Prediction(NamedTuple):
    """What a task is expected to use, and from how many past tasks; `error` as in the history."""

    amounts: tuple[tuple[str, int], ...]
    tasks: int
    error: int


def predict(
    history: HistoryRow | None,
    labels: tuple[tuple[str, str], ...],
    default: Mapping[str, int],
    *,
    adaptive: bool = False,
) -> Prediction:
    """Return what a task with these labels will use; the default when there is no history.

    An `adaptive` buffer is as large as such tasks differ, and never over a fifth: for grants that can grow.
    """
    if history is None:
        return Prediction(tuple(sorted(default.items())), 0, 0)
    similar = _similar(history.tasks, labels)
    sums: dict[str, list[int]] = {}
    for task in similar:
        for dimension, peak in task.peaks:
            sums.setdefault(dimension, []).append(peak)
    sized = _as_spread if adaptive else _a_fifth_more
    amounts = tuple((name, sized(each)) for name, each in sorted(sums.items()))
    return Prediction(amounts, len(similar), history.error)


def _a_fifth_more(peaks: Sequence[int]) -> int:
    return with_buffer(sum(peaks)) // len(peaks)


def _as_spread(peaks: Sequence[int]) -> int:
    """Return the mean and twice the mean deviation: of peaks that are spread normally, 19 in 20 are below."""
    if len(peaks) < _LEAST_TASKS:
        return _a_fifth_more(peaks)
    mean = sum(peaks) // len(peaks)
    spread = sum(abs(peak - mean) for peak in peaks) // len(peaks)
    return min(_a_fifth_more(peaks), mean + 2 * spread)


def with_buffer(amount: int) -> int:
    """Return a fifth more than the amount, rounded down."""
    return amount * 12 // 10


def learned(row: UsageRow, histories: Table[HistoryRow], at: Moment) -> HistoryRow:
    """Return the history of its type after an allocation ended."""
    task = PastTask(row.labels, tuple((each.dimension, each.peak) for each in row.used))
    before = histories.get(row.task_type)
    if before is None:
        return HistoryRow(row.task_type, (task,), 0, 0, at.now)
    off = _off(predict(before, row.labels, {}), task)
    error = (before.error * (_MEMORY - 1) + off) // _MEMORY if before.compared else off
    return HistoryRow(row.task_type, (*before.tasks, task)[-MOST_TASKS:], error, before.compared + 1, at.now)


def forgotten(histories: Table[HistoryRow]) -> str | None:
    """Return the type to forget so that another one finds room."""
    if len(histories) < MOST_TYPES:
        return None
    return min(histories.values(), key=lambda row: (row.ended_now, row.task_type)).task_type


def _similar(tasks: tuple[PastTask, ...], labels: tuple[tuple[str, str], ...]) -> list[PastTask]:
    wanted = set(labels)
    common = [len(wanted.intersection(task.labels)) for task in tasks]
    most = max(common)
    return [task for task, count in zip(tasks, common, strict=True) if count == most]


def _off(prediction: Prediction, task: PastTask) -> int:
    """Return the mean distance from what was used, in thousandths of it."""
    expected, used = dict(prediction.amounts), dict(task.peaks)
    errors = [abs(expected.get(name, 0) - peak) * 1_000 // max(1, peak) for name, peak in used.items()]
    return min(_MOST_ERROR, sum(errors) // len(errors))
