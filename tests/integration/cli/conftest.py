"""A real fleet behind the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from support.cli_processes import Processes, eventually
from tercio.cli.main import app


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    running = Processes(tmp_path)
    yield running
    running.end()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a fleet with one agent, `dev-1`, that runs commands; shared by the tests of a module."""
    running = Processes(tmp_path_factory.mktemp("fleet"))
    _, address = running.dev("--port", "0", "--memory", "--agents", "1")
    eventually(lambda: running.says("dev.log", "connected agent_id=dev-1"))
    yield address
    running.end()


@pytest.fixture
def tercio(fleet: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return the command line, speaking to the shared fleet."""
    monkeypatch.setenv("TERCIO_ADDRESS", fleet)
    return lambda *arguments, **options: CliRunner().invoke(app, list(arguments), **options)
