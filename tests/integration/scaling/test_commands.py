"""`tercio pool` and `tercio scaling` against a fleet as `tercio dev` runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from support.cli_processes import Processes, eventually
from tercio.cli.main import app

Tercio = Callable[..., Result]
pytestmark = pytest.mark.timeout(90)
FILE = """
pool_id: coders
capabilities: {python: 50}
slots: 2
min: 1
max: 4
up_step: 4
cooldown: 5s
budget_id: night
external: {}
---
budget_id: night
max_agents: 3
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    running = Processes(tmp_path_factory.mktemp("fleet"))
    _, address = running.dev("--port", "0", "--memory")
    yield address
    running.end()


@pytest.fixture
def tercio(fleet: str, monkeypatch: pytest.MonkeyPatch) -> Tercio:
    monkeypatch.setenv("TERCIO_ADDRESS", fleet)
    return lambda *arguments, **given: CliRunner().invoke(app, list(arguments), **given)


@pytest.fixture
def applied(tercio: Tercio, tmp_path: Path) -> Iterator[Result]:
    path = tmp_path / "pool.yaml"
    path.write_text(FILE)
    yield tercio("pool", "apply", "-f", str(path))
    tercio("pool", "delete", "coders")
    tercio("scaling", "delete-budget", "night")


def test_pools_and_budgets_are_applied_from_a_file(tercio: Tercio, applied: Result) -> None:
    assert applied.stdout.splitlines() == [
        "the budget night is applied",
        "coders is created: 1 agents are to be there",
    ]
    pool = json.loads(tercio("pool", "get", "coders", "-o", "json").stdout)
    assert (pool["cooldown"], pool["max_agents"], pool["capabilities"]) == ("5s", 4, {"python": 50})
    assert "coders" in tercio("pool", "list", "--filter", "max = 4").stdout
    assert "not Observed" in tercio("pool", "list").stdout or "ok" in tercio("pool", "list").stdout
    assert "1/3" in tercio("scaling", "budgets").stdout


def test_a_file_of_something_else_is_a_usage_error(tercio: Tercio) -> None:
    for text, words in (("{", "not YAML"), ("", "pool_id: NAME"), ("a: 1", "pool_id"), ("pool_id: p\nmxa: 1", "mxa")):
        found = tercio("pool", "apply", "-f", "-", input=text)
        assert found.exit_code == 2
        assert words in found.stderr


def test_numbers_are_changed_by_hand_and_told(tercio: Tercio, applied: Result) -> None:
    assert tercio("pool", "scale", "coders", "--reason", "x").exit_code == 2
    scaled = tercio(
        "pool", "scale", "coders", "--agents", "3", "--reason", "tonight", "--hold", "1h", "--wait", "200ms"
    )
    assert scaled.stdout.startswith("coders: 0 of 3 agents are there")
    refused = tercio("pool", "scale", "coders", "--by", "1", "--reason", "more")
    assert refused.exit_code
    assert "resources" in refused.stderr
    listed = tercio("scaling", "events", "--pool", "coders", "--filter", "kind = SCALED_UP")
    assert "1 -> 3" in listed.stdout
    assert "tonight" in listed.stdout
    (number,) = [
        line
        for line in tercio("scaling", "events", "--pool", "coders", "-o", "name").stdout.splitlines()
        if "1 -> 3" in tercio("scaling", "explain", line).stdout
    ]
    explained = tercio("scaling", "explain", number).stdout
    assert "slots 2 -> 6" in explained
    assert tercio("scaling", "explain", "coders/999").exit_code == 2


def test_a_pool_surges_for_a_while(tercio: Tercio, applied: Result) -> None:
    begun = tercio("pool", "surge", "coders", "--max", "9", "--for", "10m", "--reason", "incident")
    assert begun.stdout.startswith("coders may have 9 agents until ")
    assert "Surging" in tercio("pool", "get", "coders").stdout
    assert tercio("pool", "surge", "coders", "--end").stdout == "coders surges no longer\n"


def test_a_dry_run_says_what_would_be_decided_and_why(tercio: Tercio, applied: Result) -> None:
    eventually(lambda: tercio("pool", "evaluate", "coders").exit_code == 0)
    shown = tercio("pool", "evaluate", "coders").stdout
    assert "0 tasks wait" in shown
    assert "queue_depth would have 0 agents" in shown


def test_what_is_foreseen_and_measured_is_shown(tercio: Tercio, applied: Result) -> None:
    assert "is not heard until it beats the last value" in tercio("scaling", "forecast", "coders").stdout
    assert json.loads(tercio("scaling", "forecast", "coders", "-o", "json").stdout)["pool_id"] == "coders"
    assert "coders" in tercio("scaling", "metrics", "--pool", "coders").stdout


def test_several_pools_are_coordinated(tercio: Tercio, applied: Result) -> None:
    tried = tercio("scaling", "coordinate", "coders=9", "--reason", "release", "--dry-run")
    assert "1 -> 3" in tried.stdout
    assert "resources" in tried.stdout
    done = tercio("scaling", "coordinate", "coders=2", "--reason", "release", "-o", "json")
    assert json.loads(done.stdout)["scaling_id"].startswith("scaling-")
    assert tercio("scaling", "coordinate", "coders=x", "--reason", "r").exit_code == 2


def test_a_pool_is_deleted_and_the_change_audited(tercio: Tercio, applied: Result) -> None:
    assert tercio("pool", "delete", "coders", "--keep-agents").stdout == "coders is deleted\n"
    assert tercio("pool", "get", "coders").exit_code == 3
    listed = tercio("audit", "list", "--service", "scaling", "--method", "DeletePool")
    assert "pools/coders" in listed.stdout


def test_events_are_followed_as_they_happen(fleet: str, tercio: Tercio, applied: Result, tmp_path: Path) -> None:
    running = Processes(tmp_path)
    try:
        running.tercio("scaling", "events", "--pool", "coders", "--follow", log="follow.log", TERCIO_ADDRESS=fleet)

        def told() -> bool:
            tercio("pool", "surge", "coders", "--reason", "again")
            return running.says("follow.log", "SURGE_BEGAN")

        eventually(told)
    finally:
        running.end()
