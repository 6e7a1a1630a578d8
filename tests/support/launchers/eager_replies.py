"""Mutation of G1: replies leave before the commit, because `append` returns before anything is written."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from support.launchers.launch import launch
from tercio_common.epochs import Epoch
from tercio_common.journal.port import Journal
from tercio_common.testing.faulty_journal import FaultyJournal

_LATE_S = 0.5


class EagerJournal(FaultyJournal):
    """Writes half a second after it said that it has written, in order."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._inner = journal
        self._last: asyncio.Task[None] | None = None

    async def append(self, number: int, value: bytes, *, epoch: Epoch) -> None:
        self._last = asyncio.create_task(self._append_later(self._last, number, value, epoch))

    async def _append_later(self, before: asyncio.Task[None] | None, number: int, value: bytes, epoch: Epoch) -> None:
        await asyncio.sleep(_LATE_S)
        if before is not None:
            await before
        await self._inner.append(number, value, epoch=epoch)


if __name__ == "__main__":
    launch(lambda ports: replace(ports, journal=EagerJournal(ports.journal)))
