"""Every command explains itself, with an example that names real commands and options."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tercio.cli.main import app


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from leaves(child, (*path, name))


ROOT = typer.main.get_command(app)
COMMANDS = dict(leaves(ROOT))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_says_what_it_does_and_what_each_option_means(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{parameter.name} has no help"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_has_an_example_of_itself(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.epilog is not None
    assert command.epilog.startswith("Example: ")
    words = shlex.split(command.epilog.removeprefix("Example: "))
    start = words.index("tercio") + 1
    assert tuple(words[start : start + len(path)]) == path
    known = {option for parameter in command.params for option in parameter.opts}
    own = words[start + len(path) :]
    own = own[: next((index for index, word in enumerate(own) if word in {"--", "|"}), len(own))]
    assert {word for word in own if word.startswith("-")} <= known | {"-"}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_prints_its_help(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*path, "--help"])
    assert done.exit_code == 0
    assert "Example" in done.output


def test_groups_explain_themselves() -> None:
    for command in ROOT.commands.values():
        assert command.help


def test_the_root_documents_exit_codes_and_environment() -> None:
    printed = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
    for words in ("0 done", "2 usage", "3 not found", "4 refused", "5 unavailable", "130 interrupted", "NO_COLOR"):
        assert words in printed


def test_the_version_is_printed() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0
    assert done.output.startswith("tercio ")


def test_an_unknown_verb_is_a_usage_error() -> None:
    assert CliRunner().invoke(app, ["tasks", "destroy"]).exit_code == 2


def test_completion_is_offered() -> None:
    assert "--install-completion" in CliRunner().invoke(app, ["--help"]).output
