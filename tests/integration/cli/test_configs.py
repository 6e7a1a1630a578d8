"""Configurations and roll-outs on the command line, against a real fleet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Tercio = Callable[..., Result]
pytestmark = pytest.mark.timeout(60)


def test_a_configuration_is_set_shown_compared_and_brought_back(tercio: Tercio, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"port": 80}')
    done = tercio("agents", "config", "set", "dev-1", "-f", str(file), "--observe", "0s", "-o", "json")
    assert (done.exit_code, json.loads(done.stdout)["state"]) == (0, "STATE_ACTIVE"), done.output
    merged = tercio("agents", "config", "set", "dev-1", "-f", "-", "--merge", "--observe", "0s", input='{"host":"h"}')
    assert merged.exit_code == 0, merged.output
    assert tercio("agents", "config", "get", "dev-1").stdout == '{"host":"h","port":80}\n'
    assert tercio("agents", "config", "diff", "dev-1").stdout == '+ /host: "h"\n'
    assert tercio("agents", "config", "rollback", "dev-1", "--observe", "0s").exit_code == 0
    assert tercio("agents", "config", "get", "dev-1").stdout == '{"port":80}\n'
    assert len(tercio("agents", "config", "history", "dev-1", "-o", "name").stdout.split()) == 3


def test_what_the_schema_does_not_allow_ends_with_its_paths(tercio: Tercio, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"port": 80}')
    assert tercio("agents", "config", "set", "nobody", "-f", str(file)).exit_code == 3
    assert tercio("agents", "config", "set", "dev-1", "-f", str(tmp_path / "none")).exit_code == 2
    schema = tercio("agents", "config", "schema", "web", "-f", "-", input='{"required": ["port"]}')
    assert schema.exit_code == 0, schema.output
    assert tercio("agents", "config", "schema", "web").stdout == '{"required": ["port"]}\n'
    assert tercio("agents", "config", "schema", "web", "--remove").exit_code == 0
    assert tercio("agents", "config", "schema", "web").exit_code == 3


def test_a_roll_out_is_started_and_watched_until_it_is_over(tercio: Tercio, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"port": 81}')
    started = tercio("rollout", "start", "-f", str(file), "--step", "50%", "--observe", "0s", "--id", "one")
    assert started.exit_code == 0, started.output
    watched = tercio("rollout", "watch", "one", "-o", "json")
    assert json.loads(watched.stdout.splitlines()[-1])["state"] == "STATE_SUCCEEDED"
    assert tercio("rollout", "list", "-o", "name").stdout == "one\n"
    assert tercio("rollout", "cancel", "one").exit_code == 4
    assert tercio("rollout", "pause", "none").exit_code == 3
    assert tercio("rollout", "get", "one").exit_code == 0
