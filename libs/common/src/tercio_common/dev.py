"""Every installed service in one process on the embedded store: what `tercio dev` runs.

The SDK must not import a server's code, so the command line finds `serve` and `new_generation` by entry points of the
group `tercio.hosting`, and calls them with plain values.

It is the same code as in a cluster, but for the store and for one address that serves everything. What it acknowledges
is in the SQLite file: it may be killed at any time.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from tercio_common.background import Background
from tercio_common.clock import Clock, SystemClock
from tercio_common.composition import Ports, Service
from tercio_common.errors import SettingsError, TercioError
from tercio_common.free_ports import free_ports
from tercio_common.ids import RandomIds
from tercio_common.journal.store import Store
from tercio_common.lifecycle import Application, serving
from tercio_common.peers import peers_of
from tercio_common.settings import ProcessSettings, StoreSettings, load_settings
from tercio_common.stores import open_store
from tercio_common.telemetry.logs import set_up_logs

_POLL_MS = 10


class ServeError(TercioError):
    """Something that should run for ever ended; the log says what."""


def applications() -> list[Application]:
    """Return every installed service, with its settings from the environment."""
    return [
        Application(name=found.name, build=found.load(), settings=_section(found))
        for found in sorted(entry_points(group="tercio.services"), key=lambda found: found.name)
        if _is_present(found)
    ]


async def serve(
    *,
    port: int,
    path: Path | None,
    log_level: str,
    until: asyncio.Event,
    on_ready: Callable[[int, int, int, Sequence[str]], None],
) -> None:
    """Serve until the event is set.

    Args:
        port: for gRPC; 0 takes free ports. Health is 100 above it and metrics 200.
        path: the SQLite file; None keeps everything in memory.
        log_level: lowest level that is written to stderr.
        until: ends it.
        on_ready: called with the three ports and the services' names once all of them lead.

    Raises:
        TercioError: it cannot start, or something that should run for ever ended.
    """
    settings = _process_settings(port=port or free_ports(1)[0], any_port=not port, path=path, log_level=log_level)
    set_up_logs(kind=settings.server.log_format, level=settings.server.log_level)
    clock, background = SystemClock(), Background()
    async with _opened(settings, clock) as store:
        services = [_build(one, store=store, settings=settings, clock=clock) for one in applications()]
        async with serving(services, settings=settings.server, clock=clock, background=background) as server:
            await _first(until, background.failed, _leading(services, clock))
            if not until.is_set() and not background.failed.is_set():
                names = [service.name for service in services]
                on_ready(server.port, server.health_port, server.metrics_port, names)
                await _first(until, background.failed)
    if background.failed.is_set():
        raise ServeError("a part of the process ended that should run for ever; the log above says which")


async def new_generation(*, path: Path | None) -> int:
    """Raise the store's generation after it was restored or replaced; return the new one.

    Args:
        path: the SQLite file; None takes the store that the environment names, by default etcd.

    Raises:
        TercioError: the store does not answer, or the file belongs to a running process.
    """
    settings = load_settings(ProcessSettings)
    if path is not None and not await asyncio.to_thread(path.is_file):
        raise SettingsError(f"{path} does not exist")
    store = settings.store if path is None else _sqlite(path)
    opened = open_store(store, lease=settings.host.lease, clock=SystemClock())
    try:
        return await opened.election("scheduler").raise_generation()
    finally:
        await opened.close()


def _process_settings(*, port: int, any_port: bool, path: Path | None, log_level: str) -> ProcessSettings:
    base = load_settings(ProcessSettings)
    server = base.server.model_copy(
        update={
            "port": port,
            "health_port": 0 if any_port else base.server.health_port,
            "metrics_port": 0 if any_port else base.server.metrics_port,
            "log_format": os.environ.get("TERCIO_SERVER__LOG_FORMAT", "console"),
            "log_level": log_level,
        }
    )
    store = StoreSettings(kind="memory") if path is None else _sqlite(path)
    address = f"{server.bind}:{port}"
    return load_settings(
        ProcessSettings,
        server=server,
        store=store,
        conflicts_address=address,
        registry_address=address,
        resources_address=address,
        scheduler_address=address,
    )


def _sqlite(path: Path) -> StoreSettings:
    return StoreSettings(kind="sqlite", path=path)


@asynccontextmanager
async def _opened(settings: ProcessSettings, clock: Clock) -> AsyncIterator[Store]:
    if settings.store.kind == "sqlite":
        await asyncio.to_thread(settings.store.path.parent.mkdir, parents=True, exist_ok=True)
    store = open_store(settings.store, lease=settings.host.lease, clock=clock)
    try:
        yield store
    finally:
        await store.close()


def _build(application: Application, *, store: Store, settings: ProcessSettings, clock: Clock) -> Service:
    return application.build(
        Ports(
            clock=clock,
            ids=RandomIds(),
            journal=store.journal(application.name),
            election=store.election(application.name),
            address=f"{settings.server.bind}:{settings.server.port}",
            host_settings=settings.host,
            settings=application.settings,
            peers=peers_of(settings),
        )
    )


def _is_present(found: EntryPoint) -> bool:
    """Tell whether the service's code is there: a checkout may name one that is still to come."""
    return importlib.util.find_spec(found.module) is not None


def _section(found: EntryPoint) -> Any:
    """Return the service's own settings from the environment, or None when it has none.

    By convention they are the section named after the service in the `ProcessSettings` of the package's `settings`.
    """
    name = f"{found.module.rpartition('.')[0]}.settings"
    if importlib.util.find_spec(name) is None:
        return None
    for _, kind in inspect.getmembers(importlib.import_module(name), inspect.isclass):
        if issubclass(kind, ProcessSettings) and found.name in kind.model_fields:
            return getattr(load_settings(kind), found.name)
    return None


async def _leading(services: Sequence[Service], clock: Clock) -> None:
    while not all(service.host.leading for service in services):
        await clock.sleep_ms(_POLL_MS)


async def _first(*waited_for: asyncio.Event | Coroutine[Any, Any, None]) -> None:
    """Wait until one of the events is set or one of the coroutines returns."""
    waits = [asyncio.ensure_future(one.wait() if isinstance(one, asyncio.Event) else one) for one in waited_for]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
