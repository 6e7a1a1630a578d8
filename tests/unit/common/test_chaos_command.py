"""`tercio chaos` refuses what it cannot do before it starts anything, and prints what a run came to."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tercio.cli.main import app
from tercio_common.errors import SettingsError
from tercio_common.testing.chaos import run
from tercio_common.testing.chaos.etcd_cluster import find_etcd
from tercio_common.testing.chaos.report import Report, Tried, report_of
from tercio_common.testing.history import Verdict


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["chaos", *arguments])


@pytest.fixture
def etcd(tmp_path: Path) -> Path:
    program = tmp_path / "etcd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def troubles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the run by a report with these troubles."""
    found: list[str] = []

    async def report(plan: run.Plan, **_: Any) -> Report:
        verdict = Verdict(10, 2, Counter(), ())
        tried = Tried(acknowledged=4, ended={"SUCCEEDED": 4})
        return report_of(verdict, seed=plan.seed, faults={"kill-leader": 2}, tried=tried, complaints=(), troubles=found)

    monkeypatch.setattr(run, "run_chaos", report)
    return found


def test_a_run_in_which_all_holds_ends_well(etcd: Path, troubles: list[str]) -> None:
    done = invoke("--etcd", str(etcd), "--seed", "7")
    assert done.exit_code == 0
    assert "G3   held    one leader's writes commit" in done.output
    assert "2 faults: kill-leader 2" in done.output


def test_trouble_is_told_and_ends_with_an_error_and_with_what_is_left_to_look_at(
    etcd: Path, troubles: list[str], tmp_path: Path
) -> None:
    troubles.append("a process ended by itself")
    done = invoke("--etcd", str(etcd), "--keep", str(tmp_path / "kept"))
    assert done.exit_code == 1
    assert "a process ended by itself" in done.output
    assert str(tmp_path / "kept") in done.output


def test_a_report_is_printed_for_programs(etcd: Path, troubles: list[str]) -> None:
    document = json.loads(invoke("--etcd", str(etcd), "--seed", "7", "-o", "json").stdout)
    assert document["seed"] == 7
    assert document["holds"]
    assert document["faults"] == {"kill-leader": 2}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--members", "2"], "it must be 1 or 3", id="two members"),
        pytest.param(["--faults", "kill,meteor"], "no fault is called 'meteor'", id="an unknown fault"),
        pytest.param(["--etcd", "/nowhere/etcd"], "/nowhere/etcd is not a program", id="no etcd there"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error(arguments: list[str], words: str) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_a_directory_that_exists_is_not_written_into(etcd: Path, tmp_path: Path) -> None:
    done = invoke("--etcd", str(etcd), "--keep", str(tmp_path))
    assert done.exit_code == 2
    assert f"{tmp_path} exists" in done.output


def test_etcd_is_found_by_argument_then_environment_then_path(
    etcd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TERCIO_ETCD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(SettingsError, match=r"no etcd on PATH: .* pass --etcd PATH"):
        find_etcd()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_etcd() == etcd
    monkeypatch.setenv("TERCIO_ETCD", "/nowhere/etcd")
    with pytest.raises(SettingsError, match="/nowhere/etcd is not a program"):
        find_etcd()
    assert find_etcd(etcd) == etcd
