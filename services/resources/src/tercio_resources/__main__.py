"""Runs the resources service alone: `python -m tercio_resources`."""

from __future__ import annotations

import sys

from tercio_common.lifecycle import main_of
from tercio_resources.app import NAME, build
from tercio_resources.settings import ResourcesProcessSettings


def run() -> int:
    """Serve until a signal; return the exit code."""
    return main_of(NAME, build, ResourcesProcessSettings)


if __name__ == "__main__":
    sys.exit(run())
