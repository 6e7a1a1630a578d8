"""A TCP proxy on loopback that does to a connection what networks do.

It promises what TCP does: bytes arrive in order and once, or the connection breaks. A connection that lost bytes is
broken when the proxy heals, at the latest, and never carries a byte after the lost ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Self

_CHUNK_BYTES = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, no time: closing sends RST and throws away what waits to be sent."""


class Proxy:
    """Passes connections to its address on to the target, as long as nothing else is asked for."""

    def __init__(self, target: str = "") -> None:
        """Prepare a proxy to `target`, `host:port`, which may be set until the first connection comes."""
        self.target = target
        self.address = ""
        self._server: asyncio.Server | None = None
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._delay_s = 0.0
        self._drops_replies = False

    async def __aenter__(self) -> Self:
        """Listen on a free port; `address` is known then."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and break every connection."""
        if self._server is not None:
            self._server.close()
        await self._break_all()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def partition(self) -> None:
        """Let nothing through either way. What is sent meanwhile arrives late, after `heal`, as TCP sends it again."""
        self._open.clear()

    def delay(self, seconds: float) -> None:
        """Hold back whatever arrives, each way, for that long."""
        self._delay_s = seconds

    def drop_replies(self) -> None:
        """Let requests through and lose what is answered: the work is done, and nobody is told."""
        self._drops_replies = True

    def reset(self) -> None:
        """Break every connection (RST)."""
        for connection in self._connections:
            connection.reset()

    def heal(self) -> None:
        """Let everything through again; connections that lost bytes break."""
        self._drops_replies = False
        self._delay_s = 0.0
        for connection in self._connections:
            if connection.has_lost:
                connection.reset()
        self._open.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        self._connections[connection] = asyncio.create_task(self._serve(connection, reader, writer))

    async def _serve(self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._open.wait()
            await self._pass_on(connection, reader, writer)
        except OSError:
            return
        finally:
            connection.reset()
            self._connections.pop(connection, None)

    async def _pass_on(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, _, port = self.target.rpartition(":")
        answers, requests = await asyncio.open_connection(host, int(port))
        connection.add(requests)
        ways = {
            asyncio.create_task(self._requests(reader, requests)),
            asyncio.create_task(self._replies(connection, answers, writer)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await self._read(reader):
            writer.write(data)
            await writer.drain()

    async def _replies(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await self._read(reader):
            if self._drops_replies or connection.has_lost:
                connection.has_lost = True
                continue
            writer.write(data)
            await writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        data = await reader.read(_CHUNK_BYTES)
        if data and self._delay_s:
            await asyncio.sleep(self._delay_s)
        await self._open.wait()
        return data

    async def _break_all(self) -> None:
        tasks = tuple(self._connections.values())
        self.reset()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A task that is cancelled before its first turn cleans nothing up.
        self._connections.clear()


class _Connection:
    """Both ends of one connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writers = [writer]
        self.has_lost = False

    def add(self, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)

    def reset(self) -> None:
        for writer in self._writers:
            end = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()
