"""A server whose wall clock jumps when it is told to, as a machine's does when somebody sets it.

`python -m tercio_common.testing.chaos.skewed_clock MODULE` runs the server with one thing replaced: its time of day is
the machine's plus what a file says. The boot-time clock, on which leases are counted, is the machine's own.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
from pathlib import Path
from typing import Any, Final

from tercio_common.clock import SystemClock

FILE: Final = "TERCIO_CHAOS_WALL_CLOCK"
"""Environment variable: the file that says by how many milliseconds the wall clock is ahead."""

_wall_ms = SystemClock.wall_ms


class WallClock:
    """One server's wall clock, as seen by who sets it."""

    def __init__(self, path: Path) -> None:
        """Talk to the server through that file."""
        self._path = path

    @property
    def environment(self) -> dict[str, str]:
        """What the server's process must be given."""
        return {FILE: str(self._path)}

    def set_ahead(self, milliseconds: int) -> None:
        """Set the clock that far ahead of the machine's, or behind."""
        partial = self._path.with_suffix(".partial")
        partial.write_text(str(milliseconds))
        partial.rename(self._path)


def _skewed_wall_ms(clock: SystemClock) -> int:
    ahead = 0
    with contextlib.suppress(FileNotFoundError):
        ahead = int(Path(os.environ[FILE]).read_text())
    return _wall_ms(clock) + ahead


def main() -> None:
    """Run the server that the command line names; does not return."""
    mutated: Any = SystemClock
    mutated.wall_ms = _skewed_wall_ms
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
