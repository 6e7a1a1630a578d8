"""Runs the registry alone: `python -m tercio_registry`."""

from __future__ import annotations

import sys

from tercio_common.errors import SettingsError
from tercio_common.lifecycle import MISCONFIGURED, Application, main
from tercio_common.settings import load_settings
from tercio_registry.app import NAME, build
from tercio_registry.settings import RegistryProcessSettings


def run() -> int:
    """Load the settings and serve until a signal; return the exit code."""
    try:
        settings = load_settings(RegistryProcessSettings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return MISCONFIGURED
    return main([Application(name=NAME, build=build, settings=settings.registry)], settings=settings)


if __name__ == "__main__":
    sys.exit(run())
