"""An agent counts what it has done, and tells each change once a stream."""

from __future__ import annotations

from tercio.api.resources.v1.usage_service_pb2_grpc import UsageServiceStub
from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.attempts import Attempt, Epoch
from tercio.counts import TaskCounts
from tercio.prefetch import Credit
from tercio.reports import Reports
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote
from tercio.usage import UsageReports

SUCCEEDED, FAILED, CANCELLED = work_pb2.OUTCOME_SUCCEEDED, work_pb2.OUTCOME_FAILED, work_pb2.OUTCOME_CANCELLED


def ended(task_type: str, outcome: work_pb2.Outcome.ValueType, *, run_micros: int = 0, started: int = 1) -> Attempt:
    attempt = Attempt("t", 1, Epoch(1, 1), task_type=task_type)
    attempt.outcome, attempt.run_micros, attempt.started_ns = outcome, run_micros, started
    return attempt


def totals(counts: TaskCounts) -> dict[str, tuple[int, int, int]]:
    found = counts.take_untold()
    if found is None:
        return {}
    columns = zip(found.succeeded, found.failed, found.run_micros, strict=True)
    return dict(zip(found.task_types, columns, strict=True))


def test_successes_and_failures_are_counted_by_type_and_cancelled_ones_are_not() -> None:
    counts = TaskCounts()
    for attempt in (
        ended("a", SUCCEEDED, run_micros=10),
        ended("a", SUCCEEDED, run_micros=30),
        ended("a", FAILED, run_micros=500),
        ended("b", FAILED),
        ended("c", CANCELLED),
    ):
        counts.ended(attempt)
    assert totals(counts) == {"a": (2, 1, 40), "b": (0, 1, 0)}


def test_what_did_not_change_is_told_again_only_on_a_new_stream() -> None:
    counts = TaskCounts()
    counts.ended(ended("a", SUCCEEDED, run_micros=10))
    counts.ended(ended("b", SUCCEEDED, run_micros=10))
    assert set(totals(counts)) == {"a", "b"}
    assert totals(counts) == {}
    counts.ended(ended("b", SUCCEEDED, run_micros=10))
    assert totals(counts) == {"b": (2, 0, 20)}
    counts.tell_all_again()
    assert totals(counts) == {"a": (1, 0, 10), "b": (2, 0, 20)}


def test_more_types_than_fit_go_with_later_beats() -> None:
    counts = TaskCounts()
    for number in range(100):
        counts.ended(ended(f"type-{number}", SUCCEEDED))
    first, second = totals(counts), totals(counts)
    assert (len(first), len(second)) == (64, 36)
    assert not first.keys() & second.keys()


def test_reports_count_what_was_begun_and_no_system_tasks() -> None:
    counts = TaskCounts()
    usage = UsageReports(Remote(Route(Channels(), ["nowhere:1"]), UsageServiceStub))
    reports = Reports(credit=Credit(concurrency=1), counts=counts, usage=usage, wake=lambda: None)
    reports.ended(ended("a", SUCCEEDED))
    reports.ended(ended("a", FAILED, started=0))
    reports.ended(ended("tercio.canary", SUCCEEDED))
    assert totals(counts) == {"a": (1, 0, 0)}
