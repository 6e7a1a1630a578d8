"""Exit codes: part of the command line's contract, so that scripts can tell the cases apart. Never renumbered."""

from __future__ import annotations

import enum

import grpc

from tercio.rpc.errors import CallError


class ExitCode(enum.IntEnum):
    """How a command ended."""

    OK = 0
    """It did what was asked."""
    ERROR = 1
    """Something else went wrong, here or in the service."""
    USAGE = 2
    """The command line, a file or the request is wrong; the same will be refused again."""
    NOT_FOUND = 3
    """What it names is not there, or no longer kept."""
    REFUSED = 4
    """The present state, a limit or a permission does not allow it."""
    UNAVAILABLE = 5
    """Nobody answered in time; the same may succeed later."""
    TASK_FAILED = 6
    """The tasks that it waited for ended, and some did not succeed."""
    INTERRUPTED = 130
    """Ctrl-C, as in a shell."""


_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.USAGE,
    grpc.StatusCode.OUT_OF_RANGE: ExitCode.USAGE,
    grpc.StatusCode.NOT_FOUND: ExitCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: ExitCode.REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: ExitCode.REFUSED,
    grpc.StatusCode.ABORTED: ExitCode.REFUSED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ExitCode.REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: ExitCode.REFUSED,
    grpc.StatusCode.UNAVAILABLE: ExitCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.UNAVAILABLE,
}


def exit_code_of(error: CallError) -> ExitCode:
    """Return how a command ends that failed with this error."""
    return _CODES.get(error.code, ExitCode.ERROR)
