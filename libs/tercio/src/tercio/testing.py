"""A whole fleet in the test's own process and event loop, on the journal in memory.

Needs `tercio[testing]`. In a `conftest.py`:

    pytest_plugins = ["tercio.testing"]

and then in a test:

    async def test_resize(tercio_fleet):
        async with tercio_fleet.running(agent), tercio_fleet.client() as client:
            task = await client.submit("resize", {"width": 100})
            assert await task.result() == b"done"

It is the same code as in a cluster but for the store, so what passes here is not mocked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import entry_points
from typing import Any

import pytest_asyncio

from tercio.agent import Agent
from tercio.client import Client
from tercio.errors import SettingsError


class Fleet:
    """Every installed service, at one address."""

    def __init__(self, address: str) -> None:
        """Describe a fleet that runs already; use `running_fleet`."""
        self.address = address

    def client(self) -> Client:
        """Return a new client of this fleet; use it as a context."""
        return Client(address=self.address)

    @contextlib.asynccontextmanager
    async def running(self, *agents: Agent) -> AsyncIterator[None]:
        """Run agents, made with `address=fleet.address`, until the block ends; then drain them.

        Raises:
            TercioError: an agent ended by itself.
        """
        running = [asyncio.create_task(agent.run()) for agent in agents]
        try:
            for agent, task in zip(agents, running, strict=True):
                await _ready(agent, task)
            yield
        finally:
            for agent in agents:
                agent.drain()
            await asyncio.gather(*running, return_exceptions=True)
        for task in running:
            task.result()


async def _ready(agent: Agent, running: asyncio.Task[None]) -> None:
    connected = asyncio.create_task(agent.ready())
    try:
        await asyncio.wait({connected, running}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        connected.cancel()


@contextlib.asynccontextmanager
async def running_fleet() -> AsyncIterator[Fleet]:
    """Run every installed service on a free port of the loopback address until the block ends.

    Raises:
        SettingsError: the services are not installed.
    """
    found = next(iter(entry_points(group="tercio.hosting", name="serve")), None)
    if found is None:
        raise SettingsError("the services are not installed: pip install 'tercio[testing]'")
    stop, bound = asyncio.Event(), asyncio.get_running_loop().create_future()

    def on_ready(port: int, _health: int, _metrics: int, _services: Sequence[str]) -> None:
        bound.set_result(port)

    serving = asyncio.create_task(
        found.load()(port=0, path=None, log_level="error", until=stop, on_ready=on_ready), name="tercio-fleet"
    )
    try:
        waits: list[asyncio.Future[Any]] = [serving, bound]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield Fleet(f"localhost:{bound.result()}")
    finally:
        stop.set()
        await serving


@pytest_asyncio.fixture
async def tercio_fleet() -> AsyncIterator[Fleet]:
    """Yield a fleet that is as old as the test."""
    async with running_fleet() as fleet:
        yield fleet
