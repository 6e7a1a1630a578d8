"""Runs the scheduler alone: `python -m tercio_scheduler`."""

from __future__ import annotations

import sys

from tercio_common.lifecycle import main_of
from tercio_scheduler.app import NAME, build
from tercio_scheduler.settings import SchedulerProcessSettings


def run() -> int:
    """Serve until a signal; return the exit code."""
    return main_of(NAME, build, SchedulerProcessSettings)


if __name__ == "__main__":
    sys.exit(run())
