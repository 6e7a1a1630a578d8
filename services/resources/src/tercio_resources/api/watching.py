"""WatchPools, which shows what is, and WatchAllocations, which shows every change from a cursor on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio_common.cursors import decode_seq, encode_seq
from tercio_common.errors import Refusal
from tercio_common.filtering.predicates import Filter
from tercio_common.journal.feed import FeedEntry
from tercio_common.machine.host import Host
from tercio_common.machine.term import Term
from tercio_common.rpc.present import follow
from tercio_resources import metrics
from tercio_resources.state.machine import ResourcesMachine
from tercio_resources.state.rows import AllocationRow
from tercio_resources.state.tables import ALLOCATIONS, COST_LIMITS, QUOTAS
from tercio_resources.state.views import view
from tercio_resources.translate.allocations import allocation_message
from tercio_resources.translate.pools import pool_message

BOOKMARK_MS = 10_000
"""A reader that is shown little still gets a cursor this often, so that it never falls out of the ring."""


class Watching:
    """Serves both watches."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def pools(self) -> AsyncIterator[pb.WatchPoolsResponse]:
        """Give every pool, and then those that changed.

        Raises:
            Refusal: READER_TOO_SLOW, or the leadership ended.
        """
        term = self._host.term
        machine = cast(ResourcesMachine, term.machine)
        seen = follow(
            term,
            watches=metrics.WATCHES.labels("pools"),
            present=lambda: {row.pool_id: machine.pool_view(row) for row in machine.tables.pools.values()},
            show=pool_message,
            besides=(QUOTAS, COST_LIMITS),
        )
        async with aclosing(seen) as changes:
            async for each in changes:
                yield pb.WatchPoolsResponse(
                    pools=each.changed, deleted_pool_ids=each.gone, seq=each.seq, limits_changed=each.besides
                )

    async def allocations(
        self, cursor: str, selected: Filter[AllocationRow]
    ) -> AsyncIterator[pb.WatchAllocationsResponse]:
        """Give every change after the cursor.

        Raises:
            Refusal: CURSOR_INVALID, CURSOR_COMPACTED, READER_TOO_SLOW, or the leadership ended.
        """
        term = self._host.term
        term.check_may_release()  # a former leader would call cursors of its successor compacted
        position = decode_seq(ALLOCATIONS, cursor) if cursor else term.feed.committed
        metrics.WATCHES.labels("allocations").inc()
        try:
            async with aclosing(self._changes(term, position, selected)) as messages:
                async for message in messages:
                    term.check_may_release()
                    position = decode_seq(ALLOCATIONS, message.cursor)
                    yield message
        except Refusal as refusal:
            metadata = {**refusal.metadata, "cursor": encode_seq(ALLOCATIONS, position)}
            raise Refusal(refusal.reason, refusal.message, metadata, refusal.retry_after_ms) from None
        finally:
            metrics.WATCHES.labels("allocations").dec()

    async def _changes(
        self, term: Term, position: int, selected: Filter[AllocationRow]
    ) -> AsyncGenerator[pb.WatchAllocationsResponse, None]:
        feed = term.feed.subscribe(position)
        # At once, so that the reader knows where it began and that the watch stands.
        yield pb.WatchAllocationsResponse(cursor=encode_seq(ALLOCATIONS, position))
        clock = self._host.clock
        reading = asyncio.ensure_future(anext(feed))
        waking = asyncio.ensure_future(clock.sleep_ms(BOOKMARK_MS))
        try:
            while True:
                await asyncio.wait({reading, waking}, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    for entry in reading.result():
                        if (message := _message(entry, term, selected)) is not None:
                            yield message
                    reading = asyncio.ensure_future(anext(feed))
                if waking.done():
                    waking = asyncio.ensure_future(clock.sleep_ms(BOOKMARK_MS))
                    if not reading.done():
                        yield pb.WatchAllocationsResponse(cursor=encode_seq(ALLOCATIONS, feed.position))
        finally:
            reading.cancel()
            waking.cancel()


def _message(entry: FeedEntry, term: Term, selected: Filter[AllocationRow]) -> pb.WatchAllocationsResponse | None:
    """Return what a record changed; None when that is nothing to this reader."""
    rows = entry.changes.rows(ALLOCATIONS)
    found = [row for row in rows.values() if row is not None and selected.matches(row)]
    released = [number for number, row in rows.items() if row is None]
    if not found and not released:
        return None
    at, tables = term.moment(), cast(ResourcesMachine, term.machine).tables
    return pb.WatchAllocationsResponse(
        cursor=encode_seq(ALLOCATIONS, entry.seq),
        allocations=[allocation_message(view(row, at, term.session), tables) for row in found],
        released_allocation_ids=released,
    )
