"""Runs the scheduler alone: `python -m tercio_scheduler`."""

from __future__ import annotations

import sys

from tercio_common.errors import SettingsError
from tercio_common.lifecycle import MISCONFIGURED, Application, main
from tercio_common.settings import load_settings
from tercio_scheduler.app import NAME, build
from tercio_scheduler.settings import SchedulerProcessSettings


def run() -> int:
    """Load the settings and serve until a signal; return the exit code."""
    try:
        settings = load_settings(SchedulerProcessSettings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return MISCONFIGURED
    return main([Application(name=NAME, build=build, settings=settings.scheduler)], settings=settings)


if __name__ == "__main__":
    sys.exit(run())
