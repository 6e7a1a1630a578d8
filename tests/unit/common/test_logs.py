"""Logs are one line an event, with what was bound to the call, for Tercio's own events and for those of libraries."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from tercio_common.telemetry.logs import set_up_logs


@pytest.fixture(autouse=True)
def _logging_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def write_both() -> None:
    structlog.contextvars.bind_contextvars(trace_id="t1", request_id="r1")
    structlog.get_logger("tercio_common.x").info("leading", epoch="1.2")
    structlog.get_logger("tercio_common.x").debug("not_written")
    logging.getLogger("some.library").warning("it %s", "happened")


def test_json_lines_carry_level_logger_time_trace_and_request(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(kind="json", level="info")
    write_both()
    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["epoch"], ours["logger"]) == ("leading", "1.2", "tercio_common.x")
    assert (theirs["event"], theirs["logger"]) == ("it happened", "some.library")
    assert {"level", "timestamp", "trace_id", "request_id"} <= set(ours) & set(theirs)


def test_a_traceback_is_part_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(kind="json", level="info")
    structlog.get_logger("x").error("failed", exc_info=ValueError("why"))
    (line,) = capsys.readouterr().err.splitlines()
    assert "why" in json.dumps(json.loads(line)["exception"])


@pytest.mark.parametrize("kind", ["json", "console"])
def test_a_traceback_tells_no_values(kind: Literal["json", "console"], capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(kind=kind, level="info")
    try:
        _serve(" ".join(["a", "secret"]))
    except RuntimeError:
        structlog.get_logger("x").exception("failed")
        logging.getLogger("some.library").exception("failed")
    written = capsys.readouterr().err
    assert written.count("_serve") >= 2
    assert "a secret" not in written


def _serve(secret: str) -> None:
    raise RuntimeError(f"not today, with {len(secret)} characters")


def test_console_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(kind="console", level="warning")
    write_both()
    (line,) = capsys.readouterr().err.splitlines()
    assert "it happened" in line
