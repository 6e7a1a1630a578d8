"""What a command tells of its attempt: lines `name value` that it appends to a file, see `Context.measure`.

The file is read by the descriptor with which it was made, so nothing that the command puts in its place is ever opened.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator

VARIABLE = "TERCIO_MEASURES"
"""The environment variable that names the file."""

_MOST_BYTES = 4_096
"""Eight measures with the longest names and values take a fifth of it."""

Lines = Callable[[], list[str]]


@contextlib.contextmanager
def measures_file() -> Iterator[tuple[str, Lines]]:
    """Make a file for one attempt; yield its path, and what gives the lines in it. It is removed at the end."""
    descriptor, path = tempfile.mkstemp(prefix="tercio-measures-")
    try:
        yield path, lambda: _lines(descriptor)
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(path)


def measure_of(line: str) -> tuple[str, float]:
    """Return name and value.

    Raises:
        ValueError: the line is something else.
    """
    name, _, value = line.strip().partition(" ")
    return name, float(value)


def _lines(descriptor: int) -> list[str]:
    text = os.pread(descriptor, _MOST_BYTES, 0).decode(errors="replace")
    return [line for line in text.splitlines() if line.strip()]
