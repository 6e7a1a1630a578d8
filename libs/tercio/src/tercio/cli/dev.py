"""`tercio dev`: a whole fleet on one machine, with nothing else to install."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tercio.cli.dev_agents import LocalAgents
from tercio.cli.failures import CommandError
from tercio.cli.hosting import hosted, hosting

EPILOG: Final = "Example: tercio dev --agents 2"

_NEXT: Final = """
  tercio agent exec --capability python --allow-commands    an agent that runs the commands it is given
  tercio submit --wait -- python -c 'print(6 * 7)'          a task for it
  tercio tasks list                                         what became of it
  tercio doctor                                             is everything well?
"""


def dev(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="for everything; 0 takes a free one")] = 7400,
    data: Annotated[Path | None, typer.Option("--data", help="directory of the store; else TERCIO_DEV_DATA")] = None,
    memory: Annotated[bool, typer.Option("--memory", help="keep nothing on disk")] = False,
    agents: Annotated[int, typer.Option("--agents", min=0, max=64, help="local agents that run commands")] = 0,
    max_agents: Annotated[
        int, typer.Option("--max-agents", min=0, max=64, help="as many of them as there are while much waits")
    ] = 0,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error")] = "warning",
) -> None:
    """Run every service in this process, on the embedded store; Ctrl-C ends it.

    Health is on port + 100, metrics on port + 200. What was acknowledged is on disk: it may be killed at any time and
    goes on when it is started again on the same directory.

    Local agents are the agent pool `dev`: `tercio pool get dev` shows it, and one that ends is started again.
    """
    serve = hosting("serve")
    path = None if memory else (data or _default_directory()) / "tercio.db"

    async def main() -> None:
        stop = asyncio.Event()
        with _stopped_by_signals(stop):
            await _serve(
                serve, port=port, path=path, local=LocalAgents(agents, max_agents), log_level=log_level, stop=stop
            )

    try:
        with hosted():
            _run(main())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", hint="--data names another directory") from None


async def _serve(
    serve: Callable[..., Coroutine[Any, Any, None]],
    *,
    port: int,
    path: Path | None,
    local: LocalAgents,
    log_level: str,
    stop: asyncio.Event,
) -> None:
    os.environ.setdefault("TERCIO_SCALING__LOCAL__AGENT_SECRET", _secret(path))
    up: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def announce(bound: int, health: int, metrics: int, services: Sequence[str]) -> None:
        typer.echo(f"Tercio is up at localhost:{bound} (health {health}, metrics {metrics}): {', '.join(services)}")
        typer.echo(f"store: {path if path is not None else 'memory, gone at the end'}")
        if local.most:
            typer.echo(f"agents: {local}, which run any command that a local caller submits")
        if bound != 7400:
            typer.echo(f"\n  export TERCIO_ADDRESS=localhost:{bound}")
        typer.echo(_NEXT, nl=False)
        sys.stdout.flush()
        up.set_result(f"localhost:{bound}")

    ended = asyncio.Event()
    keeping = asyncio.create_task(_keep_agents(local, up, stop, ended))
    try:
        await serve(port=port, path=path, log_level=log_level, until=ended, on_ready=announce)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _keep_agents(local: LocalAgents, up: asyncio.Future[str], stop: asyncio.Event, ended: asyncio.Event) -> None:
    """Declare the agents, and let them leave while the services are still there to be told."""
    stopping = asyncio.create_task(stop.wait())
    try:
        waits: list[asyncio.Future[Any]] = [up, stopping]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if up.done():
            await local.run(up.result(), until=stopping)
    finally:
        stopping.cancel()
        ended.set()


@contextlib.contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set the event on the first signal; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def note() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, note)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _secret(path: Path | None) -> str:
    """Return what tells the agents of the next start from impostors: kept beside the store that remembers them."""
    if path is None:
        return secrets.token_hex(16)
    file = path.with_name("agents.secret")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(16))
    return file.read_text()


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Run in uvloop where it is installed, as the services do."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def _default_directory() -> Path:
    given = os.environ.get("TERCIO_DEV_DATA")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    return Path(given) if given else state / "tercio/dev"
