"""Turns errors into one clear line with a reason and a hint, and into the exit code; never into a stack."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

import typer

from tercio.addresses import DEFAULT_ADDRESS
from tercio.cli.exits import ExitCode, exit_code_of
from tercio.errors import CallError, SettingsError, TercioError, UnavailableError

_HINTS = {
    "AGENT_NOT_FOUND": "`tercio agents list` shows who is registered",
    "TASK_NOT_FOUND": "`tercio tasks list` shows what is kept; finished tasks are forgotten after a while",
    "PLAN_NOT_FOUND": "`tercio plans list` shows what is kept",
    "TASK_STATE_CONFLICT": "`tercio tasks get ID` shows where it stands",
    "INSUFFICIENT_AGENT_CAPABILITY": "`tercio agents list -o wide` shows who can do what",
    "NO_LEADER": "wait for an election, or ask `tercio doctor`",
    "PAYLOAD_TOO_LARGE": "pass a path or an address instead of the content",
}


_NO_CONNECTION = re.compile(r"ipv[46]:(\S+): .*?([^:]+)$")


class CommandError(TercioError):
    """The command cannot be carried out.

    Attributes:
        code: how the command ends.
        hint: what to do; may be empty.
    """

    def __init__(self, message: str, *, code: ExitCode = ExitCode.ERROR, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@contextmanager
def reported() -> Iterator[None]:
    """Report what is raised inside, and leave with its exit code."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BrokenPipeError:
        # The reader, for instance `head`, has seen enough; nothing more may be written, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.OK) from None
    except BaseExceptionGroup as group:
        _report_group(group)
    except CommandError as error:
        raise _failed(str(error), error.hint, error.code) from None
    except CallError as error:
        raise _failed(_plain(error), _hint(error), exit_code_of(error)) from None
    except SettingsError as error:
        raise _failed(str(error), "", ExitCode.USAGE) from None
    except TercioError as error:
        raise _failed(str(error), "", ExitCode.ERROR) from None


def _report_group(group: BaseExceptionGroup[BaseException]) -> None:
    """Report the first error of a task group as if it stood alone."""
    first = group.exceptions[0]
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    with reported():
        raise first


def _plain(error: CallError) -> str:
    """Return the error in a line; gRPC's own words about a connection are for its developers."""
    match = _NO_CONNECTION.search(error.message)
    return f"nobody answers at {unquote(match[1])}: {match[2]}" if match and not error.reason else str(error)


def _hint(error: CallError) -> str:
    if isinstance(error, UnavailableError) and not error.reason:
        address = os.environ.get("TERCIO_ADDRESS") or DEFAULT_ADDRESS
        return f"is a fleet running at {address}? `tercio dev` starts one, `tercio doctor` looks closer"
    return _HINTS.get(error.reason, "")


def _failed(message: str, hint: str, code: ExitCode) -> typer.Exit:
    line = " ".join(message.split())
    typer.secho(f"error: {line}", err=True, fg=typer.colors.RED if _colourful() else None)
    if hint:
        typer.echo(f"hint: {hint}", err=True)
    return typer.Exit(code)


def _colourful() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
