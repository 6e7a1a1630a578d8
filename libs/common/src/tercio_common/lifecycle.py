"""The life of a server process: build, serve, drain, exit code.

Start: store, services, ports, then the hosts, so that a replica answers (by forwarding) before it may lead. Stop, on
SIGTERM or SIGINT: refuse new calls, finish the commit, release what waits for it, close the streams, give the role up.
A roll-out then takes the role's new holder well under a second. A second signal does not wait.

Exit codes: 0 after a drain, 1 when something that should run for ever ended, 2 for settings with which it cannot start.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from tercio_common.background import Background
from tercio_common.clock import Clock, SystemClock
from tercio_common.composition import Ports, Service
from tercio_common.errors import SettingsError, StoreError
from tercio_common.garbage import search_now_and_then, tune_for_many_rows
from tercio_common.ids import RandomIds
from tercio_common.journal.store import Store
from tercio_common.machine.host import Host
from tercio_common.peers import peers_of
from tercio_common.rpc.server import RunningServer, start_server
from tercio_common.settings import ProcessSettings, ServerSettings, load_settings
from tercio_common.stores import open_store
from tercio_common.telemetry.logs import set_up_logs

DRAINED, FAILED, MISCONFIGURED = 0, 1, 2
_RESIGN_S = 2.0
"""Time to revoke the lease; without an answer it ends by itself."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A service that a process is to run.

    Attributes:
        name: of the service; its journal and election are kept under it.
        build: its composition root.
        settings: its own section, or None for the defaults.
    """

    name: str
    build: Callable[[Ports], Service]
    settings: Any = None


def main(applications: Sequence[Application], *, settings: ProcessSettings) -> int:
    """Run the applications in this process until a signal; return the exit code. Not inside an event loop."""
    set_up_logs(kind=settings.server.log_format, level=settings.server.log_level)
    tune_for_many_rows()
    try:
        return _runner(uvloop=settings.server.uvloop)(run(applications, settings=settings))
    except (SettingsError, StoreError) as error:
        _log.error("cannot_start", reason=str(error))
        return MISCONFIGURED


def main_of(name: str, build: Callable[[Ports], Service], kind: type[ProcessSettings]) -> int:
    """Load the settings, run one service with its section of them until a signal, and return the exit code."""
    try:
        settings = load_settings(kind)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return MISCONFIGURED
    return main([Application(name=name, build=build, settings=getattr(settings, name))], settings=settings)


async def run(applications: Sequence[Application], *, settings: ProcessSettings) -> int:
    """Run the applications until a signal or a failure; return the exit code."""
    clock = SystemClock()
    stop, background = asyncio.Event(), Background()
    with _signals(stop):
        store = open_store(settings.store, lease=settings.host.lease, clock=clock)
        try:
            services = [_build(one, store=store, settings=settings, clock=clock) for one in applications]
            async with serving(services, settings=settings.server, clock=clock, background=background):
                searching = background.start("garbage", search_now_and_then(clock))
                try:
                    await _first(stop, background.failed)
                finally:
                    await background.end(searching)
            if isinstance(background.error, SettingsError):
                raise background.error
            return FAILED if background.failed.is_set() else DRAINED
        finally:
            await store.close()


@contextlib.asynccontextmanager
async def serving(
    services: Sequence[Service], *, settings: ServerSettings, clock: Clock, background: Background
) -> AsyncIterator[RunningServer]:
    """Serve in this event loop for as long as the context is open, then drain."""
    server = await start_server(services, settings=settings, clock=clock, background=background)
    running: list[tuple[Host, asyncio.Task[None]]] = []
    try:
        for service in services:
            if not settings.port and not settings.advertise:
                service.host.address = f"{settings.bind}:{server.port}"  # a free port is known only now
            running.append((service.host, background.start(f"host of {service.name}", service.host.run())))
        yield server
    finally:
        await _drain(server, running, settings=settings, background=background)


async def _drain(
    server: RunningServer,
    running: Sequence[tuple[Host, asyncio.Task[None]]],
    *,
    settings: ServerSettings,
    background: Background,
) -> None:
    await server.refuse_new()
    for _, task in running:
        background.may_end(task)
    try:
        async with asyncio.timeout(settings.drain_ms / 1000):
            for host, _ in running:
                await host.drain()
    except TimeoutError:
        _log.warning("drain_incomplete", consequence="callers get OUTCOME_UNKNOWN and retry")
    await server.close(grace_ms=settings.drain_ms)
    resigning = [task for host, task in running if host.leading]
    if resigning:
        await asyncio.wait(resigning, timeout=_RESIGN_S)
    await background.end(*(task for _, task in running))


def _build(application: Application, *, store: Store, settings: ProcessSettings, clock: Clock) -> Service:
    server = settings.server
    return application.build(
        Ports(
            clock=clock,
            ids=RandomIds(),
            journal=store.journal(application.name),
            election=store.election(application.name),
            address=server.advertise or f"{server.bind}:{server.port}",
            host_settings=settings.host,
            settings=application.settings,
            peers=peers_of(settings),
        )
    )


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` at the first SIGTERM or SIGINT; a second one has its usual effect."""
    loop = asyncio.get_running_loop()
    watched = (signal.SIGTERM, signal.SIGINT)

    def note(number: signal.Signals) -> None:
        _log.info("stopping", signal=number.name)
        stop.set()
        for one in watched:
            loop.remove_signal_handler(one)

    for one in watched:
        loop.add_signal_handler(one, note, one)
    try:
        yield
    finally:
        for one in watched:
            loop.remove_signal_handler(one)


def _runner(*, uvloop: bool) -> Callable[[Coroutine[Any, Any, int]], int]:
    if uvloop:
        with contextlib.suppress(ImportError):
            from uvloop import run as uvloop_run

            return uvloop_run
    return asyncio.run
