"""A registry that asks agent `a` for a sign of life once it is registered: once, whoever leads."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tercio_common.composition import Ports, Service
from tercio_common.lifecycle import Application, main
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.system_tasks import SystemTaskWanted
from tercio_common.settings import load_settings
from tercio_registry.app import NAME, build
from tercio_registry.settings import RegistryProcessSettings
from tercio_registry.state.commands import OpenSystemTasks

AGENT = "a"
TIMEOUT_MS = 60_000


def run() -> int:
    asked = Path(os.environ["ASKED"])

    def build_asking(ports: Ports) -> Service:
        service = build(ports)
        host = service.host

        def ask(_seq: int) -> None:
            row = host.machine.agents.get(AGENT)
            if row is not None and not asked.exists():
                asked.touch()
                wanted = SystemTaskWanted("tercio.canary", AGENT, timeout=TIMEOUT_MS, incarnation=row.incarnation)
                host.propose(OpenSystemTasks((wanted,)), call=EFFECT)

        host.on_commit(ask)
        return service

    settings = load_settings(RegistryProcessSettings)
    return main([Application(name=NAME, build=build_asking, settings=settings.registry)], settings=settings)


if __name__ == "__main__":
    sys.exit(run())
