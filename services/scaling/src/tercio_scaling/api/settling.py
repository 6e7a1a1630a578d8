"""Waits until what was decided is carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from tercio_common.machine.host import Host

_SPARE_MS: Final = 200
"""Before the caller's deadline, so that it gets an answer."""


class Settling:
    """The calls of one replica that wait for what was decided."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._committed = asyncio.Event()

    def committed(self, _seq: int) -> None:
        """A commit has passed: something may have been carried out."""
        self._committed.set()
        self._committed = asyncio.Event()

    async def until(self, holds: Callable[[Any], bool], *, wait: int, time_left: float | None) -> None:
        """Return once `holds` says so of the tables, or after `wait` ms."""
        if time_left is not None:
            wait = min(wait, max(0, int(time_left * 1_000) - _SPARE_MS))
        expired = asyncio.ensure_future(self._host.clock.sleep_ms(wait))
        try:
            while not expired.done():
                changed = asyncio.ensure_future(self._committed.wait())
                try:
                    if await self._host.read(lambda machine, _session, _at: holds(machine.tables)):
                        return
                    await asyncio.wait({changed, expired}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
        finally:
            expired.cancel()
