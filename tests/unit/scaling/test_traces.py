"""Traces: seeded shapes, and files of anyone's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tercio_scaling.simulation.__main__ import main
from tercio_scaling.simulation.traces import TRACES, Task, occupancy, read_csv, steady


@pytest.mark.parametrize("name", [name for name in TRACES if name != "daily_wave"])
def test_a_seed_gives_the_same_trace_again_and_another_seed_another(name: str) -> None:
    assert TRACES[name](7) == TRACES[name](7)
    assert TRACES[name](7) != TRACES[name](8)


def test_the_load_is_what_the_shape_says() -> None:
    tasks = steady(1).tasks
    busy = sum(task.runs for task in tasks) / (6 * 3_600_000)
    assert busy == pytest.approx(24, rel=0.1)


def test_occupancy_counts_what_runs_if_nobody_waits() -> None:
    assert occupancy([Task(0, 10), Task(5, 10)]) == [(0, 1), (5, 2), (10, 1), (15, 0)]


def test_a_file_is_read_in_the_order_of_arrival(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("arrives_s,runs_s\n2.5,1\n1,0.5\n")
    assert read_csv(file).tasks == (Task(1_000, 500), Task(2_500, 1_000))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("a,b\n1,2\n", "the first line must name arrives_s and runs_s", id="other columns"),
        pytest.param("arrives_s,runs_s\n1,x\n", ":2: .* must be numbers", id="no number"),
        pytest.param("arrives_s,runs_s\n1,inf\n", ":2: .* must be numbers", id="endless"),
        pytest.param("arrives_s,runs_s\n1\n", ":2: .* must be numbers", id="a column is missing"),
        pytest.param("arrives_s,runs_s\n1,1\n-1,1\n", ":3: .* must not be negative", id="before the beginning"),
    ],
)
def test_a_bad_file_is_refused_by_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=complaint):
        read_csv(file)


def test_the_command_line_compares_a_file_and_refuses_what_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("arrives_s,runs_s\n0,60\n1,60\n")
    assert main([str(file)]) == 0
    assert "mine         oracle          2 tasks   0.00 % late" in capsys.readouterr().out
    assert main(["no-such-trace"]) == 2
    assert "seeded traces are steady, burst" in capsys.readouterr().err
