"""`tercio pools` and `tercio allocations` against a fleet as `tercio dev` runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from support.cli_processes import Processes, eventually
from support.git_repository import new_repository
from tercio.cli.main import app

Tercio = Callable[..., Result]
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    running = Processes(tmp_path_factory.mktemp("fleet"))
    _, address = running.dev("--port", "0", "--memory")
    yield address
    running.end()


@pytest.fixture
def tercio(fleet: str, monkeypatch: pytest.MonkeyPatch) -> Tercio:
    monkeypatch.setenv("TERCIO_ADDRESS", fleet)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_dev_has_the_default_pools(tercio: Tercio) -> None:
    shown = {pool["pool_id"]: pool["capacity"] for pool in json.loads(tercio("pools", "list", "-o", "json").stdout)}
    assert shown == {
        "cpu": "100000",
        "git_worktrees": "20",
        "memory": "65536",
        "network": "1000",
        "storage": "1024000",
    }


def test_a_pool_lives_and_ends_by_hand(tercio: Tercio) -> None:
    created = tercio("pools", "create", "gpu", "--dimension", "gpu", "--capacity", "8", "--unit", "count")
    assert created.stdout == "gpu has 8 count\n"
    assert tercio("pools", "resize", "gpu", "--capacity", "4").stdout == "gpu is ACTIVE: 0 of 4 count are granted\n"
    assert "FENCED" in tercio("pools", "fence", "gpu").stdout
    assert "ACTIVE" in tercio("pools", "fence", "gpu", "--lift").stdout
    assert tercio("pools", "get", "gpu", "-o", "name").stdout == "gpu\n"
    assert tercio("pools", "delete", "gpu").stdout == "gpu is deleted\n"
    assert tercio("pools", "get", "gpu").exit_code == 3


def test_what_is_held_is_listed_and_released(tercio: Tercio) -> None:
    request = ("--filter", 'owner = "nobody"')
    assert "nothing is allocated" in tercio("allocations", "list", *request).stderr
    assert tercio("allocations", "release").exit_code == 2
    assert tercio("allocations", "release", "1024").stdout == "0 released; not held: 1024\n"
    assert tercio("allocations", "release", "--owner", "nobody").stdout == "0 released\n"


def test_what_ended_is_listed(tercio: Tercio) -> None:
    assert tercio("allocations", "history", "--filter", 'owner = "nobody"').stderr.startswith(
        "nothing that ended is kept"
    )


def test_mutations_of_pools_are_in_the_audit_trail(tercio: Tercio) -> None:
    tercio("pools", "resize", "network", "--capacity", "999")
    listed = tercio("audit", "list", "--service", "resources", "--method", "UpdatePool")
    assert "pools/network" in listed.stdout


def test_a_pool_of_worktrees_lives_and_ends_by_hand(tercio: Tercio, tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "repository")
    options = ("--repository", str(repository), "--folder", str(tmp_path / "trees"), "--ahead", "1")
    created = tercio("worktrees", "create", "trees", *options)
    assert created.stdout.startswith("trees keeps 1 worktrees of "), created.output
    shown = _ready(tercio)
    assert "READY" in tercio("worktrees", "list", "--pool", "trees").stdout
    cleaned = tercio("worktrees", "clean", "trees", shown["number"])
    assert cleaned.stdout == f"{shown['path']} is CLEANING\n"
    _ready(tercio)
    assert tercio("worktrees", "remove", "trees", shown["number"]).stdout == f"{shown['path']} is REMOVING\n"
    assert _ready(tercio)["path"] != shown["path"]
    assert tercio("pools", "delete", "trees").exit_code == 0
    eventually(lambda: not list((tmp_path / "trees").iterdir()))


def _ready(tercio: Tercio) -> dict[str, str]:
    """Wait for the only worktree to be ready and return it."""
    rows: list[dict[str, str]] = []

    def is_ready() -> bool:
        rows[:] = json.loads(tercio("worktrees", "list", "-o", "json").stdout)
        return [row["state"] for row in rows] == ["STATE_READY"]

    eventually(is_ready)
    return rows[0]
