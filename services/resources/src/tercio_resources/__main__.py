"""Runs the resources service alone: `python -m tercio_resources`."""

from __future__ import annotations

import sys

from tercio_common.errors import SettingsError
from tercio_common.lifecycle import MISCONFIGURED, Application, main
from tercio_common.settings import load_settings
from tercio_resources.app import NAME, build
from tercio_resources.settings import ResourcesProcessSettings


def run() -> int:
    """Load the settings and serve until a signal; return the exit code."""
    try:
        settings = load_settings(ResourcesProcessSettings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return MISCONFIGURED
    return main([Application(name=NAME, build=build, settings=settings.resources)], settings=settings)


if __name__ == "__main__":
    sys.exit(run())
