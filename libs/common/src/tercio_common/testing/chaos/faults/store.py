"""Faults of etcd: members that are gone, a disk that is slow or full, history that is compacted away."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from functools import partial
from typing import Final

from tercio_common.errors import StoreError
from tercio_common.etcd_client.requests import delete_operation, prefix_end, put_operation, transaction
from tercio_common.testing.chaos.etcd_cluster import EtcdCluster
from tercio_common.testing.chaos.fleet import SERVICE, Fleet
from tercio_common.testing.eventually import eventually

_BURST_S: Final = 0.2
"""How long a disk hangs at a time: longer than a commit, shorter than etcd's election timeout of 1 s."""
_FILLING: Final = b"chaos/"
"""Keys of somebody else, who shares this etcd."""
_FILLING_BYTES: Final = 1 << 20
_FILLED_WITHIN_S: Final = 20.0
_REPAIRED_WITHIN_MS: Final = 20_000


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


class FullStore:
    """Somebody else fills etcd up to its quota, so that it refuses every write; healing deletes that, and nothing more.

    Compacting, defragmenting and lifting the alarm are left to Tercio, and so is what it had not written yet.
    """

    def __init__(self) -> None:
        self._fleet: Fleet | None = None

    async def inject(self, fleet: Fleet, rng: random.Random) -> None:
        self._fleet = fleet
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FILLED_WITHIN_S):
                await _fill(fleet)

    async def heal(self) -> None:
        if self._fleet is None:
            return
        try:
            await eventually(partial(_is_emptied, self._fleet), within_ms=_REPAIRED_WITHIN_MS)
            await eventually(partial(_has_room, self._fleet), within_ms=_REPAIRED_WITHIN_MS)
        except AssertionError:
            self._fleet.complain("G1", "FullStore", "there is room in etcd again, and it is still full")


async def _fill(fleet: Fleet) -> None:
    for number in itertools.count():
        with contextlib.suppress(StoreError):
            if (await fleet.store.journal(SERVICE).space()).full:
                return
            put = put_operation(b"%b%06d" % (_FILLING, number), bytes(_FILLING_BYTES))
            await fleet.store.client.write(transaction([], then=[put]))


async def _is_emptied(fleet: Fleet) -> bool:
    deletion = delete_operation(_FILLING, end=prefix_end(_FILLING))
    try:
        await fleet.store.client.write(transaction([], then=[deletion]))
    except StoreError:
        return False
    return True


async def _has_room(fleet: Fleet) -> bool:
    try:
        return not (await fleet.store.journal(SERVICE).space()).full
    except StoreError:
        return False
