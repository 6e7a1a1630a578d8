"""Runs the conflicts service alone: `python -m tercio_conflicts`."""

from __future__ import annotations

import sys

from tercio_common.lifecycle import main_of
from tercio_conflicts.app import NAME, build
from tercio_conflicts.settings import ConflictsProcessSettings


def run() -> int:
    """Serve until a signal; return the exit code."""
    return main_of(NAME, build, ConflictsProcessSettings)


if __name__ == "__main__":
    sys.exit(run())
