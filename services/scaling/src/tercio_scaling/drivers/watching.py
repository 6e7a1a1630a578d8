"""Watches that never end: they resume where they were, and begin anew where that is forgotten.

An event says only that something may have changed; what there is now is asked for by who hears of it. So nothing is
lost when a watch begins anew: that counts as a change.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import structlog

from tercio_common.clock import Clock
from tercio_scaling.drivers.cluster import Cluster, Gone
from tercio_scaling.drivers.protocol import Refused, Unavailable

_FIRST_WAIT_MS: Final = 200
_LONGEST_WAIT_MS: Final = 15_000
"""Between two attempts: a server that comes back after minutes is not met by a crowd, and is seen soon."""
_log = structlog.get_logger(__name__)


class Feed(NamedTuple):
    """A collection that is watched.

    Attributes:
        path: of the collection.
        query: asks which objects of it, whenever the watch begins anew.
    """

    path: str
    query: Callable[[], Awaitable[dict[str, str]]]


async def changes_of(cluster: Cluster, clock: Clock, feeds: Sequence[Feed]) -> AsyncGenerator[None, None]:
    """Yield at once and then whenever an object of a feed may have changed; what comes in a burst is told once."""
    changed = asyncio.Event()
    changed.set()
    following = [asyncio.create_task(_follow(cluster, clock, feed, changed.set)) for feed in feeds]
    try:
        while True:
            await _either(changed, following)
            changed.clear()
            yield
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def _either(changed: asyncio.Event, following: Sequence[asyncio.Task[None]]) -> None:
    """Wait for a change; a task that ends has failed in a way that nobody foresaw, and raises here."""
    waiting = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait([waiting, *following], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    for task in following:
        if task.done():
            task.result()


async def _follow(cluster: Cluster, clock: Clock, feed: Feed, changed: Callable[[], None]) -> None:
    """Watch one feed for ever."""
    version, wait = "", _FIRST_WAIT_MS
    while True:
        heard, asked_ms = False, 0
        try:
            query = await feed.query()
            if version:
                query["resourceVersion"] = version
            async with contextlib.aclosing(cluster.watch(feed.path, query=query)) as events:
                async for event in events:
                    heard, version = True, event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        changed()
        except Gone:
            _log.debug("watch_begins_anew", path=feed.path)
            version = ""
            changed()
        except (Unavailable, Refused) as error:
            asked_ms = error.retry_after_ms if isinstance(error, Unavailable) else 0
            _log.info("watch_interrupted", path=feed.path, error=str(error), effect="resumes by itself")
            changed()
        wait = _FIRST_WAIT_MS if heard else min(2 * wait, _LONGEST_WAIT_MS)
        await clock.sleep_ms(max(wait, asked_ms))
