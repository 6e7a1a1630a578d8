"""Every failure is one clear line, a hint and a documented exit code."""

from __future__ import annotations

import grpc
import pytest
import typer

from tercio.cli.exits import ExitCode
from tercio.cli.failures import CommandError, reported
from tercio.errors import SettingsError
from tercio.rpc.errors import CallError, call_error

CODES = [
    ("TASK_NOT_FOUND", grpc.StatusCode.NOT_FOUND, ExitCode.NOT_FOUND),
    ("INVALID_ARGUMENT", grpc.StatusCode.INVALID_ARGUMENT, ExitCode.USAGE),
    ("TASK_STATE_CONFLICT", grpc.StatusCode.FAILED_PRECONDITION, ExitCode.REFUSED),
    ("PLAN_ID_REUSED", grpc.StatusCode.ALREADY_EXISTS, ExitCode.REFUSED),
    ("QUEUE_FULL", grpc.StatusCode.RESOURCE_EXHAUSTED, ExitCode.REFUSED),
    ("PERMISSION_DENIED", grpc.StatusCode.PERMISSION_DENIED, ExitCode.REFUSED),
    ("NO_LEADER", grpc.StatusCode.UNAVAILABLE, ExitCode.UNAVAILABLE),
    ("", grpc.StatusCode.DEADLINE_EXCEEDED, ExitCode.UNAVAILABLE),
    ("INTERNAL", grpc.StatusCode.INTERNAL, ExitCode.ERROR),
]


def failed(error: BaseException) -> int:
    with pytest.raises(typer.Exit) as left, reported():
        raise error
    return left.value.exit_code


@pytest.mark.parametrize(
    ("reason", "code", "expected"), CODES, ids=[f"{reason or code.name}" for reason, code, _ in CODES]
)
def test_a_refused_call_has_its_exit_code(reason: str, code: grpc.StatusCode, expected: ExitCode) -> None:
    assert failed(call_error("because", code=code, reason=reason)) == expected


def test_the_numbers_never_change() -> None:
    numbers = {code.name: code.value for code in ExitCode}
    assert numbers == {
        "OK": 0,
        "ERROR": 1,
        "USAGE": 2,
        "NOT_FOUND": 3,
        "REFUSED": 4,
        "UNAVAILABLE": 5,
        "TASK_FAILED": 6,
        "INTERRUPTED": 130,
    }


def test_a_refusal_is_one_line_with_its_reason_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    failed(call_error("no task\nx", code=grpc.StatusCode.NOT_FOUND, reason="TASK_NOT_FOUND"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: TASK_NOT_FOUND: no task x"
    assert lines[1].startswith("hint: ")
    assert len(lines) == 2


def test_a_broken_connection_names_the_address_and_not_its_internals(capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:7400: "
        "Failed to connect to remote host: Connection refused"
    )
    failed(call_error(words, code=grpc.StatusCode.UNAVAILABLE))
    said = capsys.readouterr().err
    assert said.startswith("error: nobody answers at 127.0.0.1:7400: Connection refused\n")
    assert "tercio dev" in said


def test_ctrl_c_ends_as_in_a_shell() -> None:
    assert failed(KeyboardInterrupt()) == 130


def test_a_wrong_setting_is_a_usage_error() -> None:
    assert failed(SettingsError("no port")) == ExitCode.USAGE


def test_the_first_error_of_a_group_is_reported() -> None:
    group = BaseExceptionGroup("many", [CommandError("x", code=ExitCode.REFUSED), ValueError("y")])
    assert failed(group) == ExitCode.REFUSED


def test_an_error_of_ours_in_the_code_itself_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), reported():
        raise ZeroDivisionError


def test_errors_without_a_reason_say_their_status() -> None:
    assert isinstance(call_error("x", code=grpc.StatusCode.INTERNAL), CallError)
