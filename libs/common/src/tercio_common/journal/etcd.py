"""The journal in etcd.

Every write is one transaction, guarded by the leader's election key (see `guards.py`), and is harmless when it is done
twice or lands late, because a call whose answer was lost may still be applied afterwards:

- a segment or an audit chunk is created only where there is none, and identical bytes found there count as success;
- a chunk or the pointer is replaced only at the revision last seen, so an older copy of the same call can never undo a
  newer one, which for the pointer would bring back a snapshot whose chunks are deleted;
- deletions name what the guarded pointer covers.

Reads are linearizable ranges. A page whose revision is below the fence was served by a member that had not seen this
leadership, which older releases of etcd allow in some cases, and is read again. Nothing depends on etcd's history, so
anybody may compact at any time.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from tercio_common.epochs import Epoch
from tercio_common.errors import FencedError, JournalGapError, StoreUnavailableError
from tercio_common.etcd_client import maintenance
from tercio_common.etcd_client.client import EtcdClient
from tercio_common.etcd_client.requests import (
    Operation,
    Range,
    created_at,
    delete_operation,
    get,
    get_last,
    get_operation,
    modified_at,
    prefix_end,
    put_operation,
    transaction,
)
from tercio_common.journal.guards import leads
from tercio_common.journal.keys import DEFAULT_PREFIX, Keys, number_of
from tercio_common.journal.pointers import decode_pointer, encode_pointer
from tercio_common.journal.port import Segment, SnapshotId, SnapshotPointer, Space

MAX_VALUE_BYTES = 1 << 20
"""etcd refuses requests over 1.5 MiB however often they are sent; commits are capped at half of this."""

# Pages are limited by count, because etcd cannot limit them by size: 8 of the largest segments make 4 MB. Pages of
# small segments grow up to 64, which at worst is 32 MB once.
_FIRST_PAGE = 8
_LARGEST_PAGE = 64
_STALE_PAGES = 40
"""With the client's pause between them, about 4 s: a member that is further behind is not coming back soon."""


class EtcdJournal:
    """See `tercio_common.journal.port.Journal`."""

    def __init__(self, client: EtcdClient, *, service: str, shard: int = 0, prefix: str = DEFAULT_PREFIX) -> None:
        self._client = client
        self._keys = Keys(service, shard, prefix)

    async def append(self, number: int, value: bytes, *, epoch: Epoch) -> None:
        await self._create(self._keys.segment(number), value, epoch)

    async def read(self, after: int, *, fence: Epoch | None = None, max_bytes: int = 4 << 20) -> list[Segment]:
        segments, _ = await self._read(after, fence=fence, max_bytes=max_bytes)
        return segments

    async def tail(self, after: int) -> AsyncIterator[Segment]:
        position = after
        while True:
            try:
                segments, revision = await self._read(position)
                for segment in segments:
                    position = segment.number
                    yield segment
                if segments:
                    continue
                async with contextlib.aclosing(self._appended(position, revision)) as appended:
                    async for segment in appended:
                        position = segment.number
                        yield segment
            except StoreUnavailableError:
                await self._client.pause()

    async def write_chunk(self, snapshot: SnapshotId, index: int, data: bytes, *, epoch: Epoch) -> None:
        await self._replace(self._keys.chunk(snapshot, index), data, epoch)

    async def publish(self, pointer: SnapshotPointer, *, epoch: Epoch) -> None:
        await self._replace(self._keys.pointer, encode_pointer(pointer), epoch)

    async def pointer(self, *, fence: Epoch | None = None) -> SnapshotPointer | None:
        pointer, _ = await self._pointer(fence)
        return pointer

    async def read_chunk(self, snapshot: SnapshotId, index: int) -> bytes | None:
        found = (await self._client.read(get(self._keys.chunk(snapshot, index)))).kvs
        return bytes(found[0].value) if found else None

    async def delete_orphans(self, *, epoch: Epoch) -> int:
        keys = self._keys
        while True:
            pointer, revision = await self._pointer(epoch)
            deletions = [delete_operation(keys.snapshots, end=keys.pointer)]
            if pointer is not None:
                kept = keys.snapshot(pointer.id)
                deletions = [
                    delete_operation(keys.snapshots, end=kept),
                    delete_operation(prefix_end(kept), end=keys.pointer),
                ]
            if (deleted := await self._delete(deletions, pointer_revision=revision, epoch=epoch)) is not None:
                return deleted

    async def truncate(self, through: int, *, limit: int = 100) -> int:
        while True:
            pointer, revision = await self._pointer(None)
            covered = min(through, pointer.segment) if pointer else 0
            first, end = self._keys.segments, self._keys.segment(covered + 1)
            oldest = (await self._client.read(get(first, end=end, limit=limit, keys_only=True))).kvs
            if not oldest:
                return 0
            deletion = delete_operation(first, end=bytes(oldest[-1].key) + b"\0")
            if (deleted := await self._delete([deletion], pointer_revision=revision, epoch=None)) is not None:
                return deleted

    async def space(self) -> Space:
        return Space(*await maintenance.measure(self._client))

    async def compact(self) -> None:
        await maintenance.compact(self._client)

    async def reclaim(self) -> None:
        await maintenance.reclaim(self._client)

    async def write_audit(self, number: int, data: bytes, *, epoch: Epoch) -> None:
        await self._create(self._keys.audit(number), data, epoch)

    async def audit_range(self) -> tuple[int, int]:
        first, end = self._keys.audit(0), self._keys.audits_end
        oldest = (await self._client.read(get(first, end=end, limit=1, keys_only=True))).kvs
        newest = (await self._client.read(get_last(first, end=end))).kvs
        return (number_of(oldest[0].key), number_of(newest[0].key)) if oldest and newest else (1, 0)

    async def read_audit(self, after: int, *, limit: int = 10) -> list[tuple[int, bytes]]:
        request = get(self._keys.audit(after + 1), end=self._keys.audits_end, limit=limit)
        return [(number_of(kv.key), bytes(kv.value)) for kv in (await self._client.read(request)).kvs]

    async def trim_audit(self, through: int, *, epoch: Epoch) -> None:
        deletion = delete_operation(self._keys.audit(0), end=self._keys.audit(through + 1))
        reply = await self._client.write(transaction(leads(self._keys, epoch), then=[deletion]))
        if not reply.succeeded:
            raise self._fenced(epoch)

    async def close(self) -> None:
        """Do nothing: the client belongs to whoever made it."""

    async def _create(self, key: bytes, value: bytes, epoch: Epoch) -> None:
        _check_size(key, value)
        guards = [*leads(self._keys, epoch), created_at(key, 0)]
        reply = await self._client.write(
            transaction(guards, then=[put_operation(key, value)], otherwise=[get_operation(key)])
        )
        if reply.succeeded:
            return
        found = reply.responses[0].response_range.kvs
        if not found:
            raise self._fenced(epoch)
        if found[0].value != value:
            raise FencedError(f"{key.decode()} holds something else, written at revision {found[0].create_revision}")

    async def _replace(self, key: bytes, value: bytes, epoch: Epoch) -> None:
        _check_size(key, value)
        seen = 0
        while True:
            guards = [*leads(self._keys, epoch), modified_at(key, seen)]
            reply = await self._client.write(
                transaction(guards, then=[put_operation(key, value)], otherwise=[get_operation(key)])
            )
            if reply.succeeded:
                return
            found = reply.responses[0].response_range.kvs
            if found and found[0].value == value:
                return
            present = found[0].mod_revision if found else 0
            if present == seen:  # the key is as expected, so what failed is the leader's guard
                raise self._fenced(epoch)
            seen = present

    async def _delete(self, deletions: list[Operation], *, pointer_revision: int, epoch: Epoch | None) -> int | None:
        """Return how many keys were deleted, or None when the pointer changed meanwhile."""
        guards = [modified_at(self._keys.pointer, pointer_revision), *(leads(self._keys, epoch) if epoch else ())]
        look = [get_operation(self._keys.pointer)]
        reply = await self._client.write(transaction(guards, then=deletions, otherwise=look))
        if reply.succeeded:
            return sum(int(response.response_delete_range.deleted) for response in reply.responses)
        found = reply.responses[0].response_range.kvs
        if (found[0].mod_revision if found else 0) == pointer_revision and epoch:
            raise self._fenced(epoch)
        return None

    async def _pointer(self, fence: Epoch | None) -> tuple[SnapshotPointer | None, int]:
        found = (await self._range(get(self._keys.pointer), fence)).kvs
        return (decode_pointer(found[0].value), found[0].mod_revision) if found else (None, 0)

    async def _read(
        self, after: int, *, fence: Epoch | None = None, max_bytes: int = 4 << 20
    ) -> tuple[list[Segment], int]:
        """Return segments, and the revision at which there were no more when there are none."""
        segments, revision = await self._pages(after, fence, max_bytes)
        if segments:
            return segments, revision
        pointer, _ = await self._pointer(fence)
        if pointer is None or pointer.segment <= after:
            return [], revision
        # Either it was truncated, or it was appended and covered by a snapshot between the two reads.
        segments, revision = await self._pages(after, fence, max_bytes)
        if not segments:
            raise JournalGapError(f"segment {after + 1} is gone: the snapshot covers up to {pointer.segment}")
        return segments, revision

    async def _pages(self, after: int, fence: Epoch | None, max_bytes: int) -> tuple[list[Segment], int]:
        segments: list[Segment] = []
        size, limit = 0, _FIRST_PAGE
        while True:
            first = after + 1 + len(segments)
            request = get(self._keys.segment(first), end=self._keys.segments_end, limit=limit)
            page = await self._range(request, fence)
            for number, kv in enumerate(page.kvs, start=first):
                if number_of(kv.key) != number:
                    if segments:
                        return segments, page.header.revision
                    raise JournalGapError(f"segment {number} is gone: the next one is {number_of(kv.key)}")
                size += len(kv.value)
                if segments and size > max_bytes:
                    return segments, page.header.revision
                segments.append(Segment(number, bytes(kv.value)))
            if not page.more:
                return segments, page.header.revision
            limit = min(limit * 2, _LARGEST_PAGE)

    async def _appended(self, after: int, revision: int) -> AsyncGenerator[Segment, None]:
        """Give what is appended later than `revision`, until something else is seen."""
        first, end = self._keys.segment(after + 1), self._keys.segments_end
        changes = self._client.watch(first, end=end, revision=revision + 1, deletions=False)
        async with contextlib.aclosing(changes) as replies:
            async for reply in replies:
                for event in reply.events:
                    if number_of(event.kv.key) != after + 1:
                        return
                    after += 1
                    yield Segment(after, bytes(event.kv.value))

    async def _range(self, request: Range, fence: Epoch | None) -> Any:
        for _ in range(_STALE_PAGES):
            reply = await self._client.read(request)
            if fence is None or reply.header.revision >= fence.revision:
                return reply
            self._client.leave_member()
            await self._client.pause()
        raise StoreUnavailableError(f"every etcd member is behind this leadership ({fence})")

    def _fenced(self, epoch: Epoch) -> FencedError:
        return FencedError(f"epoch {epoch} does not lead {self._keys.service} any more")


def _check_size(key: bytes, value: bytes) -> None:
    if len(value) > MAX_VALUE_BYTES:
        raise ValueError(f"{len(value)} bytes for {key.decode()}; at most {MAX_VALUE_BYTES} fit")
