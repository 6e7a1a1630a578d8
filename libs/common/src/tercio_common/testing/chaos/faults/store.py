"""Faults of etcd: members that are gone, a disk that is slow, history that is compacted away."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Final

from tercio_common.errors import StoreError
from tercio_common.testing.chaos.etcd_cluster import EtcdCluster
from tercio_common.testing.chaos.fleet import SERVICE, Fleet

_BURST_S: Final = 0.2
"""How long a disk hangs at a time: longer than a commit, shorter than etcd's election timeout of 1 s."""


class MembersGone:
    """`kill -9` of one member or of all; healing starts them on their own data."""

    def __init__(self, *, all_members: bool) -> None:
        self._all = all_members
        self._etcd: EtcdCluster | None = None
        self._gone: list[int] = []

    async def inject(self, fleet: Fleet, rng: random.Random) -> None:
        self._etcd = fleet.etcd
        indexes = range(len(fleet.etcd.endpoints))
        self._gone = list(indexes) if self._all else [rng.choice(indexes)]
        for index in self._gone:
            fleet.etcd.kill(index)

    async def heal(self) -> None:
        if self._etcd is not None:
            for index in self._gone:
                self._etcd.restart(index, wait=False)


class SlowDisk:
    """Every member stands still for 200 ms, again and again: SIGSTOP and SIGCONT."""

    def __init__(self) -> None:
        self._hanging: asyncio.Task[None] | None = None

    async def inject(self, fleet: Fleet, rng: random.Random) -> None:
        self._hanging = asyncio.create_task(_hang(fleet.etcd))

    async def heal(self) -> None:
        if self._hanging is not None:
            self._hanging.cancel()
            await asyncio.gather(self._hanging, return_exceptions=True)


async def _hang(etcd: EtcdCluster) -> None:
    members = range(len(etcd.endpoints))
    while True:
        try:
            for index in members:
                etcd.pause(index)
            await asyncio.sleep(_BURST_S)
        finally:
            for index in members:
                etcd.resume(index)
        await asyncio.sleep(_BURST_S)


class Compact:
    """Compact all history and defragment, under whatever watches it."""

    async def inject(self, fleet: Fleet, rng: random.Random) -> None:
        # Without an answer it was perhaps done, and if not, nothing is lost.
        with contextlib.suppress(StoreError):
            await fleet.store.journal(SERVICE).reclaim()

    async def heal(self) -> None:
        return
