"""WatchPools, which shows what is, and WatchScalingEvents, which shows every change from a cursor on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio_common.cursors import decode_seq, encode_seq
from tercio_common.filtering.predicates import Filter
from tercio_common.journal.feed import FeedEntry
from tercio_common.machine.host import Host
from tercio_common.rpc.present import follow
from tercio_common.rpc.watching import watched
from tercio_scaling import metrics
from tercio_scaling.api.shown import statuses
from tercio_scaling.state.rows import EventRow
from tercio_scaling.state.status import PoolStatus
from tercio_scaling.state.tables import EVENTS
from tercio_scaling.translate.events import event_message
from tercio_scaling.translate.pools import pool_message


async def watch_pools(host: Host) -> AsyncIterator[pb.WatchPoolsResponse]:
    """Give every pool, and then those that changed.

    Raises:
        Refusal: READER_TOO_SLOW, or the leadership ended.
    """
    term = host.term

    def present() -> dict[str, PoolStatus]:
        # What is seen changes all the time and is no change of the pool.
        found = (each._replace(observation=None, observed_wall=0) for each in statuses(term))
        return {each.row.pool_id: each for each in found}

    seen = follow(term, present=present, show=pool_message, watches=metrics.WATCHES.labels("pools"))
    async with aclosing(seen) as changes:
        async for each in changes:
            yield pb.WatchPoolsResponse(pools=each.changed, deleted_pool_ids=each.gone)


async def watch_events(
    host: Host, cursor: str, selected: Filter[EventRow]
) -> AsyncIterator[pb.WatchScalingEventsResponse]:
    """Give every change after the cursor.

    Raises:
        Refusal: CURSOR_INVALID, CURSOR_COMPACTED, READER_TOO_SLOW, or the leadership ended.
    """
    term = host.term
    term.check_may_release()  # a former leader would call cursors of its successor compacted
    position = decode_seq(EVENTS, cursor) if cursor else term.feed.committed
    reader = _Events(selected, position)
    metrics.WATCHES.labels("events").inc()
    try:
        async with aclosing(watched(term, term.feed.subscribe(position), reader, clock=host.clock)) as messages:
            async for message in messages:
                yield message
    finally:
        metrics.WATCHES.labels("events").dec()


class _Events:
    """What one watch of events shows."""

    def __init__(self, selected: Filter[EventRow], position: int) -> None:
        self._selected, self._position = selected, position

    @property
    def cursor(self) -> str:
        return encode_seq(EVENTS, self._position)

    def messages(self, entries: list[FeedEntry]) -> Iterator[pb.WatchScalingEventsResponse]:
        for entry in entries:
            rows = entry.changes.rows(EVENTS).values()
            found = [row for row in rows if row is not None and self._selected.matches(row)]
            self._position = entry.seq
            if found:
                yield pb.WatchScalingEventsResponse(cursor=self.cursor, events=map(event_message, found))

    def bookmark(self, seq: int) -> pb.WatchScalingEventsResponse:
        self._position = seq
        return pb.WatchScalingEventsResponse(cursor=self.cursor)
