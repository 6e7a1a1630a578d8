"""Runs the registry alone: `python -m tercio_registry`."""

from __future__ import annotations

import sys

from tercio_common.lifecycle import main_of
from tercio_registry.app import NAME, build
from tercio_registry.settings import RegistryProcessSettings


def run() -> int:
    """Serve until a signal; return the exit code."""
    return main_of(NAME, build, RegistryProcessSettings)


if __name__ == "__main__":
    sys.exit(run())
