"""A handler measures its attempt, and what it measured goes to the registry with the totals of the type."""

from __future__ import annotations

from typing import Any

import pytest

from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.attempts import Attempt, Epoch
from tercio.context import Context
from tercio.counts import MOST_MEASURES, TaskCounts


def attempt(task_type: str = "t", outcome: work_pb2.Outcome.ValueType = work_pb2.OUTCOME_SUCCEEDED) -> Attempt:
    made = Attempt("task", 1, Epoch(1, 1), task_type=task_type)
    made.outcome = outcome
    return made


def context(of: Attempt) -> Context:
    reports: Any = None
    return Context(of, reports)


def told(counts: TaskCounts) -> dict[tuple[str, str], tuple[int, int]]:
    totals = counts.take_untold()
    assert totals is not None
    return {
        (totals.task_types[each.task_type_index], each.name): (each.count, each.sum_micros) for each in totals.measures
    }


def test_the_last_value_of_each_name_counts_once_an_attempt() -> None:
    counts = TaskCounts()
    for values in ((0.1, 0.5), (0.25,)):
        one = attempt()
        for value in values:
            context(one).measure("quality_score", value)
        counts.ended(one)
    other = attempt("u", work_pb2.OUTCOME_FAILED)
    context(other).measure("task_complexity", 1)
    counts.ended(other)
    assert told(counts) == {("t", "quality_score"): (2, 750_000), ("u", "task_complexity"): (1, 1_000_000)}


def test_a_cancelled_attempt_measures_nothing() -> None:
    counts = TaskCounts()
    one = attempt(outcome=work_pb2.OUTCOME_CANCELLED)
    context(one).measure("quality_score", 1)
    counts.ended(one)
    assert counts.take_untold() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("", 1), ("has blanks", 1), ("x" * 65, 1), ("x", -1), ("x", float("nan")), ("x", float("inf")), ("x", 1e10)],
    ids=["empty", "blanks", "long", "negative", "nan", "infinite", "huge"],
)
def test_what_is_out_of_bounds_is_refused_where_it_is_measured(name: str, value: float) -> None:
    one = attempt()
    with pytest.raises(ValueError, match="measure"):
        context(one).measure(name, value)
    assert one.measures is None


def test_an_attempt_has_few_measures_and_the_first_names_of_a_type_count() -> None:
    counts, one, other = TaskCounts(), attempt(), attempt()
    for number in range(MOST_MEASURES):
        context(one).measure(f"m{number}", number)
    with pytest.raises(ValueError, match="at most 8 measures"):
        context(one).measure("more", 1)
    context(other).measure("more", 1)
    context(other).measure("m0", 1)
    counts.ended(one)
    counts.ended(other)
    found = told(counts)
    assert len(found) == MOST_MEASURES
    assert found["t", "m0"] == (2, 1_000_000)
