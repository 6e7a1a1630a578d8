"""The commands against a real fleet: what they print and how they end."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

Tercio = Callable[..., Result]
pytestmark = pytest.mark.timeout(60)


def test_a_submitted_command_gives_its_output(tercio: Tercio) -> None:
    done = tercio("submit", "--wait", "--capability", "python=50", "--", "echo", "hello")
    assert (done.stdout, done.exit_code) == ("hello\n", 0)


def test_the_environment_says_which_attempt_it_is(tercio: Tercio) -> None:
    script = 'echo "$TERCIO_TASK_ID $TERCIO_ATTEMPT $TERCIO_FENCING_TOKEN"'
    done = tercio("submit", "--wait", "--id", "which", "--", "sh", "-c", script)
    task_id, attempt, token = done.stdout.split()
    assert (task_id, attempt) == ("which", "1")
    assert token.split(".")[2] == "1"


def test_a_submission_prints_the_id_alone_so_that_scripts_can_use_it(tercio: Tercio) -> None:
    done = tercio("submit", "--id", "alone", "--", "true")
    assert done.stdout == "alone\n"
    assert tercio("submit", "--id", "alone", "--", "true").stdout == "alone\n"


def test_a_failed_task_ends_with_6_and_the_last_of_stderr(tercio: Tercio) -> None:
    done = tercio("submit", "--wait", "--id", "bad", "--attempts", "1", "--", "sh", "-c", "echo oh no >&2; exit 3")
    assert done.exit_code == 6
    assert "DEAD_LETTER" in done.stderr
    assert "exit 3: oh no" in done.stderr
    described = tercio("tasks", "describe", "bad")
    assert "oh no" in described.stdout
    assert "attempt 1 on dev-1" in described.stdout


def test_a_failed_task_can_be_retried_by_hand_and_a_finished_one_not(tercio: Tercio) -> None:
    tercio("submit", "--wait", "--id", "again", "--attempts", "1", "--", "false")
    assert tercio("tasks", "retry", "again").exit_code == 0
    tercio("submit", "--wait", "--id", "fine", "--", "true")
    refused = tercio("tasks", "retry", "fine")
    assert refused.exit_code == 4
    assert refused.stderr.startswith("error: TASK_STATE_CONFLICT: ")


@pytest.mark.parametrize("words", [("tasks", "get"), ("agents", "get"), ("plans", "get"), ("tasks", "explain")])
def test_what_is_not_there_ends_with_3(tercio: Tercio, words: tuple[str, ...]) -> None:
    done = tercio(*words, "nowhere")
    assert done.exit_code == 3
    assert "NOT_FOUND" in done.stderr
    assert "hint: " in done.stderr


def test_a_wrong_value_ends_with_2_and_names_the_right_ones(tercio: Tercio) -> None:
    done = tercio("tasks", "list", "--state", "sleeping")
    assert done.exit_code == 2
    assert "running" in done.stderr


def test_a_dry_run_submits_nothing(tercio: Tercio) -> None:
    assert tercio("submit", "--dry-run", "--id", "never", "--", "true").exit_code == 0
    assert tercio("tasks", "get", "never").exit_code == 3


def test_a_task_that_nobody_can_run_is_explained_and_cancelled(tercio: Tercio) -> None:
    tercio("submit", "--id", "stuck", "--capability", "gpu=5", "--", "true")
    assert "gpu" in tercio("tasks", "explain", "stuck").stdout
    checked = tercio("doctor")
    assert "gpu=5" in checked.stdout
    assert checked.exit_code == 0
    cancelled = tercio("tasks", "cancel", "stuck", "--reason", "no gpu")
    assert cancelled.stdout == "stuck is CANCELLED\n"
    assert "no gpu" in tercio("tasks", "get", "stuck").stdout


def test_a_task_is_given_in_every_form(tercio: Tercio) -> None:
    tercio("submit", "--wait", "--id", "forms", "--", "echo", "x")
    as_json = json.loads(tercio("tasks", "get", "forms", "--payload", "-o", "json").stdout)
    assert base64.b64decode(as_json["result"]) == b"x\n"
    assert json.loads(base64.b64decode(as_json["payload"])) == {"argv": ["echo", "x"]}
    assert yaml.safe_load(tercio("tasks", "get", "forms", "--payload", "-o", "yaml").stdout) == as_json
    assert tercio("tasks", "get", "forms", "-o", "name").stdout == "forms\n"
    assert "forms" in tercio("tasks", "list", "--state", "succeeded", "--agent", "dev-1", "-o", "name").stdout.split()


def test_agents_are_listed_cordoned_and_allowed_again(tercio: Tercio) -> None:
    assert tercio("agents", "list", "--capability", "python=50", "-o", "name").stdout == "dev-1\n"
    assert tercio("agents", "list", "--capability", "python=99", "-o", "name").stdout == ""
    assert tercio("agents", "list", "--filter", "capabilities.python > 49", "-o", "name").stdout == "dev-1\n"
    assert tercio("agents", "list", "--filter", "capabilities.python > 50", "-o", "name").stdout == ""
    assert tercio("agents", "cordon", "dev-1", "--reason", "test").exit_code == 0
    assert "(cordoned)" in tercio("agents", "get", "dev-1").stdout
    assert tercio("agents", "uncordon", "dev-1").exit_code == 0
    described = tercio("agents", "describe", "dev-1").stdout
    assert "python=50" in described
    assert "no clearance service is configured" in described


PLAN = """
plan_id: two
tasks:
  - {task_id: two-a, run: echo a}
  - {task_id: two-b, run: echo b, depends_on: [two-a]}
"""


def test_a_plan_is_applied_and_followed_to_its_end(tercio: Tercio, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    done = tercio("plans", "apply", "-f", str(tmp_path / "plan.yaml"), "--wait")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("[1/2] two-a SUCCEEDED on dev-1")
    assert lines[1].startswith("[2/2] two-b SUCCEEDED on dev-1")
    assert tercio("plans", "list", "-o", "name").stdout == "two\n"
    assert "two-b" in tercio("plans", "describe", "two").stdout
    assert tercio("plans", "watch", "two").exit_code == 0


def test_a_plan_is_read_from_stdin_and_refused_with_a_cycle(tercio: Tercio) -> None:
    text = "tasks: [{task_id: x, run: 'true', depends_on: [y]}, {task_id: y, run: 'true', depends_on: [x]}]"
    done = tercio("plans", "apply", "-f", "-", "--dry-run", input=text)
    assert done.exit_code in {2, 4}
    assert "DEPENDENCY_CYCLE" in done.stderr


def test_a_plan_whose_task_fails_ends_with_6(tercio: Tercio) -> None:
    text = "plan_id: fails\ntasks: [{task_id: fails-a, run: 'false', retry: {max_attempts: 1}}]"
    assert tercio("plans", "apply", "-f", "-", "--wait", input=text).exit_code == 6


def test_a_plan_can_be_cancelled(tercio: Tercio) -> None:
    text = "plan_id: stops\ntasks: [{task_id: stops-a, run: 'true', required_capabilities: {gpu: 1}}]"
    assert tercio("plans", "apply", "-f", "-", input=text).exit_code == 0
    assert tercio("plans", "cancel", "stops", "--reason", "test").exit_code == 0
    assert "CANCELLED" in tercio("tasks", "get", "stops-a").stdout


def test_the_doctor_finds_a_healthy_fleet_healthy(tercio: Tercio) -> None:
    done = tercio("doctor", "-o", "json")
    verdicts = {finding["check"]: finding["verdict"] for finding in json.loads(done.stdout)}
    assert done.exit_code == 0
    for check in ("registry", "scheduler", "resources", "conflicts", "scaling", "clock"):
        assert verdicts[check] == "ok"


def test_the_doctor_says_what_to_do_when_nobody_answers(tercio: Tercio) -> None:
    done = tercio("doctor", "--address", "127.0.0.1:1")
    assert done.exit_code == 5
    assert "tercio dev" in done.stdout


def test_an_address_without_a_port_is_a_usage_error(tercio: Tercio) -> None:
    assert tercio("tasks", "list", "--address", "nowhere").exit_code == 2


def test_the_audit_tells_who_changed_what(tercio: Tercio) -> None:
    tercio("submit", "--id", "audited", "--", "true")
    assert tercio("tasks", "cancel", "unknown").exit_code == 3
    listed = tercio("audit", "list", "--service", "registry", "--method", "RegisterAgent", "-o", "json")
    assert [event["resources"] for event in json.loads(listed.stdout)] == [["agents/dev-1"]]
    exported = tercio("audit", "export", "--since", "1h")
    submitted = [
        event for event in map(json.loads, exported.stdout.splitlines()) if "TasksSubmitted" in event["changes"]
    ]
    assert "tasks/audited" in [name for event in submitted for name in event["resources"]]
    assert tercio("audit", "list", "--until", "1h").stdout == ""
    assert tercio("audit", "list", "--since", "yesterday").exit_code == 2


def test_top_prints_one_frame_where_there_is_no_terminal(tercio: Tercio) -> None:
    done = tercio("agents", "top")
    assert done.exit_code == 0
    title, row = done.stdout.splitlines()
    assert title.split()[:5] == ["AGENT", "STATE", "HEALTH", "LOAD", "RUNNING"]
    assert row.split()[0] == "dev-1"
    assert "\x1b" not in done.stdout


def test_an_agent_is_described_with_what_became_of_it(tercio: Tercio) -> None:
    tercio("agents", "cordon", "dev-1", "--reason", "disk")
    tercio("agents", "uncordon", "dev-1")
    described = tercio("agents", "describe", "dev-1").stdout
    assert "SINCE" in described
    assert "cordoned: disk" in described


def test_a_task_says_for_which_tenant_and_from_which_pools_it_takes_what_it_holds(tercio: Tercio) -> None:
    options = ("--resource", "cpu=1", "--tenant", "shop", "--pool-label", "disk=fast", "--pool-label", "site=north")
    tercio("submit", "--id", "choosy", *options, "--", "true")
    template = json.loads(tercio("tasks", "get", "choosy", "-o", "json").stdout)["template"]
    tercio("tasks", "cancel", "choosy")
    assert template["tenant"] == "shop"
    assert template["pool_labels"] == {"disk": "fast", "site": "north"}
