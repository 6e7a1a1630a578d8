"""Tables for people; JSON, YAML and names for programs."""

from __future__ import annotations

import json

import pytest
import yaml

from tercio.api.registry.v1 import agent_pb2
from tercio.api.scheduler.v1 import task_pb2
from tercio.cli import agent_views, tasks
from tercio.cli.output import Format, show_change, show_list, show_one

AGENT = agent_pb2.Agent(
    agent_id="ada", state=agent_pb2.Agent.STATE_HEALTHY, concurrency=2, capabilities={"python": 50}, cordoned=True
)
TASK = task_pb2.Task(
    task_id="build[1]",
    state=task_pb2.Task.STATE_SUCCEEDED,
    template=task_pb2.TaskTemplate(task_type="command", priority=0),
    result=b"\x00",
)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")


def test_a_table_in_a_pipe_is_never_cut_nor_coloured(capsys: pytest.CaptureFixture[str]) -> None:
    show_list([AGENT], agent_views.AGENT, Format.TABLE)
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["AGENT", "STATE", "TYPE", "SLOTS", "CAPABILITIES", "SEEN"]
    assert row.split() == ["ada", "HEALTHY", "(cordoned)", "-", "2", "python=50", "-"]


def test_a_wide_table_has_more_columns(capsys: pytest.CaptureFixture[str]) -> None:
    show_list([AGENT], agent_views.AGENT, Format.WIDE)
    assert "INCARNATION" in capsys.readouterr().out


def test_what_looks_like_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show_list([TASK], tasks.VIEW, Format.TABLE)
    assert "build[1]" in capsys.readouterr().out


def test_an_empty_list_says_what_to_do_and_leaves_stdout_empty(capsys: pytest.CaptureFixture[str]) -> None:
    show_list([], tasks.VIEW, Format.TABLE)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "tercio submit" in printed.err


def test_json_and_yaml_say_the_same_with_the_names_of_the_contracts(capsys: pytest.CaptureFixture[str]) -> None:
    show_one(TASK, tasks.VIEW, Format.JSON)
    as_json = json.loads(capsys.readouterr().out)
    show_one(TASK, tasks.VIEW, Format.YAML)
    assert yaml.safe_load(capsys.readouterr().out) == as_json
    assert as_json["task_id"] == "build[1]"
    assert as_json["template"]["priority"] == 0
    assert as_json["result"] == "AA=="


def test_an_empty_list_is_still_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    show_list([], tasks.VIEW, Format.JSON)
    assert json.loads(capsys.readouterr().out) == []


def test_names_are_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_list([TASK, TASK], tasks.VIEW, Format.NAME)
    assert capsys.readouterr().out == "build[1]\nbuild[1]\n"


def test_a_watch_gives_one_json_document_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_change(TASK, tasks.VIEW, Format.JSON)
    show_change(TASK, tasks.VIEW, Format.JSON)
    assert [json.loads(line)["task_id"] for line in capsys.readouterr().out.splitlines()] == ["build[1]"] * 2
