"""What every watch of a service has in common: it follows the feed of one term, and always tells where to resume."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Protocol, TypeVar

from tercio_common.clock import Clock
from tercio_common.errors import Refusal
from tercio_common.journal.feed import FeedEntry, Subscription
from tercio_common.machine.term import Term

BOOKMARK_MS = 10_000
"""A reader whose filter matches little still gets a cursor this often, so that it never falls out of the ring."""
MessageT_co = TypeVar("MessageT_co", covariant=True)
MessageT = TypeVar("MessageT")


class Reader(Protocol[MessageT_co]):
    """What one watch shows, and how far it has come."""

    @property
    def cursor(self) -> str:
        """Where to resume."""
        ...

    def messages(self, entries: list[FeedEntry]) -> Iterator[MessageT_co]:
        """Give what is to be shown of these entries, each message once it is asked for."""
        ...

    def bookmark(self, seq: int) -> MessageT_co:
        """Move on, because everything up to `seq` was read; return the message that says so."""
        ...


async def watched(
    term: Term, feed: Subscription, reader: Reader[MessageT], *, clock: Clock
) -> AsyncGenerator[MessageT, None]:
    """Give a bookmark at once, so that the caller knows that the watch stands, and then every change.

    Raises:
        Refusal: READER_TOO_SLOW, or the leadership ended; with the cursor among its metadata.
    """
    reading = asyncio.ensure_future(anext(feed))
    waking = asyncio.ensure_future(clock.sleep_ms(BOOKMARK_MS))
    try:
        yield reader.bookmark(feed.position)
        while True:
            await asyncio.wait({reading, waking}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                for message in reader.messages(reading.result()):
                    term.check_may_release()
                    yield message
                reading = asyncio.ensure_future(anext(feed))
            if waking.done():
                term.check_may_release()
                if not reading.done():
                    yield reader.bookmark(feed.position)
                waking = asyncio.ensure_future(clock.sleep_ms(BOOKMARK_MS))
    except Refusal as refusal:
        metadata = {**refusal.metadata, "cursor": reader.cursor}
        raise Refusal(refusal.reason, refusal.message, metadata, refusal.retry_after_ms, refusal.violations) from None
    finally:
        reading.cancel()
        waking.cancel()
        await asyncio.gather(reading, waking, return_exceptions=True)
