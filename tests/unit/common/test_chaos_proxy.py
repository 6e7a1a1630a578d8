"""The proxy does to a connection what networks do, and never what TCP does not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from tercio_common.testing.chaos.proxy import Proxy
from tercio_common.testing.eventually import eventually


class Echo:
    """Says everything back, and remembers it."""

    def __init__(self) -> None:
        self.address = ""
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1000):
                self.heard += data
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield echo
    server.close()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    async with Proxy(echo.address) as proxy:
        yield proxy


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    async def hear(self, count: int) -> bytes:
        return await self._reader.readexactly(count)

    async def hears_nothing(self) -> bool:
        try:
            await asyncio.wait_for(self._reader.read(1), 0.05)
        except TimeoutError:
            return True
        return False

    async def is_broken(self) -> bool:
        try:
            return await self._reader.read(1) == b""
        except OSError:
            return True


@contextlib.asynccontextmanager
async def calling(address: str) -> AsyncIterator[Caller]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_bytes_pass_both_ways(proxy: Proxy) -> None:
    async with calling(proxy.address) as caller:
        caller.say(b"x" * 200_000)
        assert await caller.hear(200_000) == b"x" * 200_000


async def test_what_is_sent_into_a_partition_arrives_once_after_it(proxy: Proxy, echo: Echo) -> None:
    async with calling(proxy.address) as caller:
        caller.say(b"one")
        await caller.hear(3)
        proxy.partition()
        caller.say(b"two")
        assert await caller.hears_nothing()
        assert echo.heard == b"one"
        proxy.heal()
        assert await caller.hear(3) == b"two"
        assert echo.heard == b"onetwo"


async def test_a_connection_made_in_a_partition_comes_to_life_after_it(proxy: Proxy, echo: Echo) -> None:
    proxy.partition()
    async with calling(proxy.address) as caller:
        caller.say(b"one")
        assert await caller.hears_nothing()
        assert not echo.heard
        proxy.heal()
        assert await caller.hear(3) == b"one"


async def test_a_dropped_reply_is_lost_after_the_work_was_done_and_the_connection_breaks(
    proxy: Proxy, echo: Echo
) -> None:
    async with calling(proxy.address) as caller:
        proxy.drop_replies()
        caller.say(b"one")
        assert await caller.hears_nothing()
        assert echo.heard == b"one"
        proxy.heal()
        assert await caller.is_broken()
    async with calling(proxy.address) as caller:
        caller.say(b"two")
        assert await caller.hear(3) == b"two"


async def test_a_connection_that_lost_nothing_outlives_the_dropping(proxy: Proxy) -> None:
    async with calling(proxy.address) as caller:
        caller.say(b"one")
        await caller.hear(3)
        proxy.drop_replies()
        proxy.heal()
        caller.say(b"two")
        assert await caller.hear(3) == b"two"


async def test_a_delay_holds_back_and_keeps_the_order(proxy: Proxy) -> None:
    async with calling(proxy.address) as caller:
        proxy.delay(0.03)
        before = time.monotonic()
        caller.say(b"one")
        caller.say(b"two")
        assert await caller.hear(6) == b"onetwo"
        assert time.monotonic() - before >= 0.06


async def test_a_reset_breaks_what_is_open_and_nothing_that_comes_later(proxy: Proxy) -> None:
    async with calling(proxy.address) as caller:
        caller.say(b"one")
        await caller.hear(3)
        proxy.reset()
        assert await caller.is_broken()
    await eventually(lambda: not proxy.connections)
    async with calling(proxy.address) as caller:
        caller.say(b"two")
        assert await caller.hear(3) == b"two"


async def test_a_target_that_is_not_there_breaks_the_connection(echo: Echo) -> None:
    async with Proxy("127.0.0.1:9") as proxy, calling(proxy.address) as caller:
        assert await caller.is_broken()


async def test_nothing_is_left_when_the_proxy_ends(echo: Echo) -> None:
    async with Proxy(echo.address) as proxy, calling(proxy.address) as caller:
        caller.say(b"one")
        await caller.hear(3)
        await proxy.__aexit__()
        assert not proxy.connections
        assert await caller.is_broken()
