"""Starts a shipped service over ports of the launcher's choice."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tercio_common.composition import Ports, Service
from tercio_common.lifecycle import Application, main
from tercio_common.settings import load_settings
from tercio_conflicts import app as conflicts
from tercio_conflicts.settings import ConflictsProcessSettings
from tercio_registry import app as registry
from tercio_registry.settings import RegistryProcessSettings
from tercio_resources import app as resources
from tercio_resources.settings import ResourcesProcessSettings
from tercio_scheduler import app as scheduler
from tercio_scheduler.settings import SchedulerProcessSettings


def launch(replace_ports: Callable[[Ports], Ports] = lambda ports: ports) -> None:
    """Run the scheduler until a signal, on what `replace_ports` makes of the process's ports; does not return."""

    def build_on_replaced(ports: Ports) -> Service:
        return scheduler.build(replace_ports(ports))

    settings = load_settings(SchedulerProcessSettings)
    sys.exit(
        main(
            [Application(name=scheduler.NAME, build=build_on_replaced, settings=settings.scheduler)], settings=settings
        )
    )


def launch_registry() -> None:
    """Run the registry until a signal; does not return."""
    settings = load_settings(RegistryProcessSettings)
    application = Application(name=registry.NAME, build=registry.build, settings=settings.registry)
    sys.exit(main([application], settings=settings))


def launch_resources() -> None:
    """Run the resources service until a signal; does not return."""
    settings = load_settings(ResourcesProcessSettings)
    application = Application(name=resources.NAME, build=resources.build, settings=settings.resources)
    sys.exit(main([application], settings=settings))


def launch_conflicts() -> None:
    """Run the conflicts service until a signal; does not return."""
    settings = load_settings(ConflictsProcessSettings)
    application = Application(name=conflicts.NAME, build=conflicts.build, settings=settings.conflicts)
    sys.exit(main([application], settings=settings))
