"""An engine that answers is left alone; where there is none, the message says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.docker_engine import NoEngineError, main, start


def _put(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_an_engine_that_answers_is_not_started_again(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _put(programs, "docker", "echo 20.10.24")
    assert main() == 0
    assert capsys.readouterr().out == "20.10.24\n"


def test_a_machine_without_docker_is_told_to_install_it(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 1
    assert "install docker" in capsys.readouterr().err


def test_an_engine_that_ends_at_once_is_told(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(programs, "docker", "exit 1")
    _put(programs, "dockerd", "exit 1")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(NoEngineError, match="did not come up"):
        start()


def test_who_may_not_start_it_is_told_how(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(programs, "docker", "exit 1")
    _put(programs, "dockerd", "exit 1")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(NoEngineError, match="systemctl start docker"):
        start()
