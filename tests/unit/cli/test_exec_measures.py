"""What a command measures of its attempt, in a file that it may do anything with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tercio.cli.exec_measures import measure_of, measures_file


def test_lines_are_read_and_the_file_is_gone_afterwards() -> None:
    with measures_file() as (path, lines):
        assert lines() == []
        Path(path).write_text("quality_score 0.9\n\nmemory_latency_ms 12")
        assert lines() == ["quality_score 0.9", "memory_latency_ms 12"]
    assert not Path(path).exists()


def test_what_is_put_in_its_place_is_not_opened(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("secret 1\n")
    with measures_file() as (path, lines):
        Path(path).unlink()
        Path(path).symlink_to(other)
        assert lines() == []
    assert other.exists()


def test_no_more_is_read_than_measures_may_need() -> None:
    with measures_file() as (path, lines):
        Path(path).write_bytes(b"\xff" * 1_000_000)
        assert sum(map(len, lines())) == 4_096


def test_a_file_that_the_command_removed_ends_nothing() -> None:
    with measures_file() as (path, _):
        Path(path).unlink()


@pytest.mark.parametrize("line", ["quality_score", "quality_score high", "0.9", "a 1 2", "= 1 ="])
def test_a_line_that_is_no_measure_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="could not convert"):
        measure_of(line)


def test_a_measure_is_a_name_and_a_number() -> None:
    assert measure_of(" quality_score  0.5 ") == ("quality_score", 0.5)
