"""Runs the scaling service alone: `python -m tercio_scaling`."""

from __future__ import annotations

import sys

from tercio_common.lifecycle import main_of
from tercio_scaling.app import NAME, build
from tercio_scaling.settings import ScalingProcessSettings


def run() -> int:
    """Serve until a signal; return the exit code."""
    return main_of(NAME, build, ScalingProcessSettings)


if __name__ == "__main__":
    sys.exit(run())
