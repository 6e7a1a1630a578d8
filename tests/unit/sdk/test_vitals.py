"""An agent reports how it is, from measurements that may be incomplete."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tercio.api.scheduler.v1 import work_service_pb2 as work_pb2
from tercio.attempts import Attempt, Epoch
from tercio.counts import TaskCounts
from tercio.vitals import ProcessProbe, Queue, Space, Vitals, container_memory


class FakeProbe:
    def cpu_ratio(self) -> float:
        return 1.5

    def memory(self) -> Space:
        return Space(7, 8)

    def disk(self) -> Space:
        return Space(5, 6)


def test_a_report_tells_what_was_measured_and_done() -> None:
    counts = TaskCounts()
    vitals = Vitals(lambda: Queue(3, 4), counts, probe=FakeProbe())
    for outcome in (work_pb2.OUTCOME_FAILED, work_pb2.OUTCOME_SUCCEEDED, work_pb2.OUTCOME_SUCCEEDED):
        attempt = Attempt("t", 1, Epoch(1, 1), task_type="build")
        attempt.outcome = outcome
        counts.ended(attempt)
    report = vitals.report(late_s=0.25)
    assert report.cpu_ratio == 1.5
    assert (report.memory_used_bytes, report.memory_limit_bytes) == (7, 8)
    assert (report.disk_used_bytes, report.disk_total_bytes) == (5, 6)
    assert (report.failed_attempts, report.succeeded_attempts) == (1, 2)
    assert (report.queue_length, report.queue_limit) == (3, 4)
    assert report.loop_lag.ToMilliseconds() == 250
    report = vitals.report(late_s=-0.1)
    assert report.loop_lag.ToMilliseconds() == 0
    assert (report.failed_attempts, report.succeeded_attempts) == (0, 0), "they were told"


def test_this_process_can_be_measured() -> None:
    probe = ProcessProbe()
    assert probe.cpu_ratio() >= 0
    for space in (probe.memory(), probe.disk()):
        assert 0 < space.used <= space.limit


def test_what_a_platform_hides_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(*_: object, **__: object) -> float:
        raise psutil.AccessDenied

    monkeypatch.setattr("tercio.vitals.container_memory", lambda _folder: Space())
    monkeypatch.setattr(psutil, "virtual_memory", hidden)
    monkeypatch.setattr(psutil.Process, "cpu_percent", hidden)
    probe = ProcessProbe()
    assert (probe.cpu_ratio(), probe.memory()) == (0.0, Space())


def test_a_limit_of_the_container_counts_without_its_page_cache(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 300\ninactive_file 500\n")
    assert container_memory(tmp_path) == Space(400, 1000)


def test_a_container_without_a_limit_is_left_out(tmp_path: Path) -> None:
    assert container_memory(tmp_path) == Space()
    (tmp_path / "memory.max").write_text("max\n")
    assert container_memory(tmp_path) == Space()
