"""The feed: committed changes of rows, in order, gapless, resumable from a sequence number.

The leader keeps a ring of them, rebuilt by replay. An entry holds references to immutable rows, which each
reader renders for itself; so a change that nobody watches costs no rendering.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.table import Changes

_CHANGE_BYTES = 256
"""Charged for each change beside the bytes of its record: a row's objects and its place in the ring."""
_BATCH = 256


class FeedEntry(NamedTuple):
    """What one record changed."""

    seq: int
    now: int
    wall: int
    changes: Changes


class Feed:
    """The ring and its readers."""

    def __init__(self, *, ring_bytes: int, lag_bytes: int) -> None:
        """Keep about `ring_bytes` of entries; cut readers that fall behind by more than `lag_bytes`."""
        self._ring_bytes = ring_bytes
        self._lag_bytes = lag_bytes
        self._ring: deque[tuple[FeedEntry, int]] = deque()  # with the position at which the entry ends, in bytes
        self._dropped = 0  # entries that left the ring
        self._start = 0  # position at which the ring begins
        self._end = 0
        self._settled = 0  # where the newest commit began: nobody lags behind for what came with it
        self._before = 0  # sequence number before the ring's first entry
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed: str = ""
        self._seen: dict[str, int] = {}  # by follower
        self.committed = 0

    def begin(self, seq: int) -> None:
        """Start after record `seq`, the last of the snapshot; only later changes can be resumed."""
        self._before = self.committed = seq

    def publish(self, entry: FeedEntry, record_bytes: int) -> None:
        """Add a committed entry; one without changes only moves the cursor."""
        self.publish_all(((entry, record_bytes),))

    def publish_all(self, entries: Iterable[tuple[FeedEntry, int]]) -> None:
        """Add what one commit brought: entries with the bytes of their records."""
        self._settled = self._end
        for entry, record_bytes in entries:
            self._add(entry, record_bytes)
        self._wake()

    def _add(self, entry: FeedEntry, record_bytes: int) -> None:
        self.committed = entry.seq
        if count := len(entry.changes):
            self._end += record_bytes + _CHANGE_BYTES * count
            self._ring.append((entry, self._end))
            while self._end - self._start > self._ring_bytes and len(self._ring) > 1:
                dropped, self._start = self._ring.popleft()
                self._before = dropped.seq
                self._dropped += 1

    def close(self, why: str) -> None:
        """End every subscription with NO_LEADER."""
        self._closed = why
        self._wake()

    def subscribe(self, after: int | None) -> Subscription:
        """Read entries after that sequence number; None starts with the present.

        Raises:
            Refusal: CURSOR_COMPACTED when entries after it are no longer kept.
        """
        if after is None:
            after = self.committed
        if not self._before <= after <= self.committed:
            raise _compacted()
        return Subscription(self, after)

    async def follow(self, follower: str) -> AsyncGenerator[FeedEntry, None]:
        """Give each entry from the present on. A follower that failed at an entry and begins anew goes on after it.

        Raises:
            Refusal: READER_TOO_SLOW when entries after that one are no longer kept, and why the feed was closed; who
                follows again after that begins with the present.
        """
        after = self._seen.setdefault(follower, self.committed)
        if after < self._before:
            del self._seen[follower]
            raise Refusal("READER_TOO_SLOW", f"{follower} began anew too late; changes were passed over")
        async for entries in self.subscribe(after):
            for entry in entries:
                # Noted before it is given: an entry at which the follower fails is not given again.
                self._seen[follower] = entry.seq
                yield entry

    def check_open(self) -> None:
        """Raise NO_LEADER once the feed is closed."""
        if self._closed:
            raise Refusal("NO_LEADER", self._closed, retry_after_ms=200)

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()


class Subscription:
    """One reader. Iterate over it; each step gives at least one entry."""

    def __init__(self, feed: Feed, after: int) -> None:
        """Use `Feed.subscribe`."""
        self._feed = feed
        self._after = after
        self._next = feed._dropped + _first_after(feed._ring, after)
        self._allowed_lag = self._lag() + feed._lag_bytes

    @property
    def position(self) -> int:
        """Sequence number from which the reader can resume."""
        return self._after

    def __aiter__(self) -> Subscription:
        """Return itself."""
        return self

    async def __anext__(self) -> list[FeedEntry]:
        """Return the next entries.

        Raises:
            Refusal: READER_TOO_SLOW with metadata `seq`, or why the feed was closed.
        """
        while not (batch := self.pending()):
            await self.changed()
        return batch

    async def changed(self) -> None:
        """Wait until there may be something to read."""
        self._feed.check_open()
        waiter = asyncio.get_running_loop().create_future()
        self._feed._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._feed._waiting.discard(waiter)

    def pending(self) -> list[FeedEntry]:
        """Return what can be read at once, perhaps nothing. Raises like iteration."""
        feed = self._feed
        feed.check_open()
        lag = self._lag()
        if self._next < feed._dropped or lag > self._allowed_lag:
            raise Refusal(
                "READER_TOO_SLOW", "the reader fell behind; resume from the last cursor", {"seq": str(self._after)}
            )
        if lag < feed._lag_bytes:
            self._allowed_lag = feed._lag_bytes
        first = self._next - feed._dropped
        batch = [feed._ring[i][0] for i in range(first, min(first + _BATCH, len(feed._ring)))]
        self._next += len(batch)
        self._after = batch[-1].seq if batch else feed.committed
        return batch

    def _lag(self) -> int:
        first = self._next - self._feed._dropped
        if first >= len(self._feed._ring):
            return 0
        begins = self._feed._ring[first - 1][1] if first > 0 else self._feed._start
        return max(0, self._feed._settled - begins)


def _first_after(ring: deque[tuple[FeedEntry, int]], seq: int) -> int:
    return bisect_right(ring, seq, key=lambda item: item[0].seq)


def _compacted() -> Refusal:
    return Refusal(
        "CURSOR_COMPACTED", "events after this cursor are no longer kept; list again and watch from the new cursor"
    )
