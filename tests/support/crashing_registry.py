"""A registry which kills itself in the phase of a registration that CRASH_AT names.

With LEDGERS, a folder, these are its ports; else it asks the services of its fleet.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from unittest.mock import patch

from support.registration_faults import PHASES, PORTS
from support.registry_faults import OUTSIDE, POINTS
from support.registry_ports import Ledgers
from tercio_common.composition import Ports, Service
from tercio_common.lifecycle import Application, main
from tercio_common.settings import load_settings
from tercio_registry.app import NAME, build
from tercio_registry.settings import RegistryProcessSettings


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run() -> int:
    place = os.environ.get("CRASH_AT", "")
    call = {**PORTS, **OUTSIDE}.get(place)

    def fail(what: str) -> None:
        if what == call:
            die()

    folder = os.environ.get("LEDGERS", "")
    outside = Ledgers(Path(folder), fail=fail).outside if folder else None

    def build_with_ledgers(ports: Ports) -> Service:
        return build(ports, outside=outside)

    settings = load_settings(RegistryProcessSettings)
    application = Application(name=NAME, build=build_with_ledgers, settings=settings.registry)
    function = {**PHASES, **POINTS}.get(place)
    if function is None:
        return main([application], settings=settings)
    with patch.object(*function, die):
        return main([application], settings=settings)


if __name__ == "__main__":
    sys.exit(run())
