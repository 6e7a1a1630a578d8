"""What the command line tells of agents, configurations and the audit trail, against a real fleet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from support.terminal import ENTERED, LEFT, on_terminal

Tercio = Callable[..., Result]
pytestmark = pytest.mark.timeout(120)


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def configure(tercio: Tercio, document: str) -> int:
    """Let the agent run that, and return the number of the revision."""
    done = tercio("agents", "config", "set", "dev-1", "-f", "-", "--observe", "0s", "-o", "json", input=document)
    return int(json.loads(said(done))["revision"])


def test_top_shows_what_changes_until_it_is_interrupted(fleet: str, tercio: Tercio) -> None:
    with on_terminal("agents", "top", "--interval", "100ms", address=fleet) as terminal:
        seen = terminal.wait_for("dev-1")
        said(tercio("agents", "cordon", "dev-1", "--reason", "disk"))
        seen = terminal.wait_for("HEALTHY (cordoned)", after=seen)
        said(tercio("agents", "uncordon", "dev-1"))
        terminal.wait_for("HEALTHY ", after=seen)
        assert terminal.interrupt() == 130
        assert terminal.written.index(ENTERED) < terminal.written.index(LEFT), "the screen is as it was"
        assert "Traceback" not in terminal.written


def test_watch_prints_each_change_on_a_terminal_until_it_is_interrupted(fleet: str, tercio: Tercio) -> None:
    with on_terminal("agents", "watch", address=fleet) as terminal:
        seen = terminal.wait_for("dev-1")
        said(tercio("agents", "cordon", "dev-1", "--reason", "disk"))
        terminal.wait_for("cordoned", after=seen)
        said(tercio("agents", "uncordon", "dev-1"))
        assert terminal.interrupt() == 130


def test_top_shows_only_who_is_asked_for(tercio: Tercio) -> None:
    assert "dev-1" in said(tercio("agents", "top", "--once", "--filter", "capabilities.python >= 1"))
    assert "dev-1" not in said(tercio("agents", "top", "--once", "--filter", 'type = "none"'))
    assert "dev-1" not in said(tercio("agents", "top", "--once", "--capability", "python=99"))
    assert tercio("agents", "top", "--interval", "soon").exit_code == 2
    assert tercio("agents", "top", "--once", "--filter", "nonsense = 1").exit_code == 2


def test_describe_tells_state_duty_and_what_became_of_the_agent_in_order(tercio: Tercio) -> None:
    for reason in ("first", "second"):
        said(tercio("agents", "cordon", "dev-1", "--reason", reason))
        assert f"cordoned: {reason}" in said(tercio("agents", "describe", "dev-1")).partition("SINCE")[0]
        said(tercio("agents", "uncordon", "dev-1"))
    facts, _, history = said(tercio("agents", "describe", "dev-1")).partition("SINCE")
    assert "cordoned" not in facts
    assert 0 < history.index("cordoned: first") < history.index("cordoned: second")
    assert tercio("agents", "describe", "nobody").exit_code == 3


def test_two_revisions_are_compared_in_either_direction(tercio: Tercio) -> None:
    first = configure(tercio, '{"same": 1, "changed": 1, "gone": true}')
    second = configure(tercio, '{"same": 1, "changed": 2, "new": {"deep": []}}')
    forth = said(tercio("agents", "config", "diff", "dev-1", "--from", str(first), "--to", str(second)))
    back = said(tercio("agents", "config", "diff", "dev-1", "--from", str(second), "--to", str(first)))
    assert {line.split()[1] for line in forth.splitlines()} == {"/changed:", "/gone:", "/new:"}
    assert [line.split()[1] for line in back.splitlines()] == [line.split()[1] for line in forth.splitlines()]
    assert forth != back
    assert said(tercio("agents", "config", "diff", "dev-1", "--from", str(first), "--to", str(first))) == ""
    changes: Any = json.loads(said(tercio("agents", "config", "diff", "dev-1", "--from", str(first), "-o", "json")))
    assert (int(changes["from_revision"]), int(changes["to_revision"])) == (first, second)
    assert tercio("agents", "config", "diff", "dev-1", "--from", "999").exit_code == 3


def test_any_revision_is_brought_back_by_its_number(tercio: Tercio) -> None:
    first = configure(tercio, '{"number": 1}')
    configure(tercio, '{"number": 2}')
    configure(tercio, '{"number": 3}')
    restored = tercio("agents", "config", "rollback", "dev-1", "--revision", str(first), "--observe", "0s")
    assert restored.exit_code == 0, restored.output
    assert said(tercio("agents", "config", "get", "dev-1")) == '{"number":1}\n'
    assert said(tercio("agents", "config", "get", "dev-1", "--revision", str(first))) == '{"number":1}\n'
    assert tercio("agents", "config", "rollback", "dev-1", "--revision", "999").exit_code == 3
    dry = tercio("agents", "config", "set", "dev-1", "-f", "-", "--dry-run", input='{"number": 4}')
    assert dry.exit_code == 0, dry.output
    assert said(tercio("agents", "config", "get", "dev-1")) == '{"number":1}\n'


def test_a_roll_out_is_paused_resumed_and_cancelled(tercio: Tercio, tmp_path: Path) -> None:
    configure(tercio, '{"port": 80}')
    start = ("rollout", "start", "-f", "-", "--merge", "--observe", "10m", "--id", "long", "-o", "json")
    begun = json.loads(said(tercio(*start, input='{"port": 81}')))
    assert begun["rollout_id"] == "long"
    assert "PAUSED" in said(tercio("rollout", "pause", "long")) + said(tercio("rollout", "get", "long"))
    assert "RUNNING" in said(tercio("rollout", "pause", "long", "--resume")) + said(tercio("rollout", "get", "long"))
    said(tercio("rollout", "cancel", "long"))
    watched = said(tercio("rollout", "watch", "long", "-o", "json"))
    assert json.loads(watched.splitlines()[-1])["state"] == "STATE_CANCELLED"
    assert tercio("rollout", "start", "-f", str(tmp_path / "none")).exit_code == 2
    assert tercio("rollout", "start", "-f", "-", "--step", "some", input="{}").exit_code == 2


def test_the_audit_is_narrowed_by_method_and_request_and_exported_whole(tercio: Tercio) -> None:
    said(tercio("agents", "cordon", "dev-1", "--reason", "for the audit"))
    said(tercio("agents", "uncordon", "dev-1"))
    registry = ("--service", "registry")
    newest, before = json.loads(
        said(tercio("audit", "list", *registry, "--method", "CordonAgent", "--limit", "2", "-o", "json"))
    )
    assert int(newest["seq"]) > int(before["seq"])
    one = said(tercio("audit", "list", *registry, "--request-id", newest["request_id"], "-o", "json"))
    assert json.loads(one) == [newest]
    exported = [json.loads(line) for line in said(tercio("audit", "export", *registry)).splitlines()]
    assert newest in exported
    numbers = [int(event["seq"]) for event in exported]
    assert numbers == sorted(set(numbers), reverse=True)
    assert said(tercio("audit", "list", *registry, "--principal", "nobody", "-o", "name")) == ""
