"""WatchTasks: changes of tasks in order, without gaps, from a cursor on.

A task is shown when it matches the filter after the change. So a reader that filters by state is not told when a task
leaves that state; one that needs it watches without the states.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from tercio.api.scheduler.v1 import task_pb2
from tercio.api.scheduler.v1 import task_service_pb2 as pb
from tercio_common.errors import Refusal
from tercio_common.journal.feed import FeedEntry
from tercio_common.machine.host import Host
from tercio_common.machine.term import Term
from tercio_scheduler import metrics
from tercio_scheduler.state.views import TaskFilter
from tercio_scheduler.translate import tasks
from tercio_scheduler.translate.bounds import Bounds

BOOKMARK_MS: Final = 10_000
"""A reader whose filter matches little still gets a cursor this often, so that it never falls out of the ring."""
_MESSAGE_BYTES: Final = 1 << 20
"""Readers take 4 MB a message unless they say otherwise."""
_WATCHES: Final = metrics.STREAMS.labels("watch")


class Watching:
    """Serves WatchTasks."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def serve(self, request: pb.WatchTasksRequest) -> AsyncIterator[pb.WatchTasksResponse]:
        """Give every change after the request's cursor.

        Raises:
            Refusal: INVALID_ARGUMENT, CURSOR_INVALID, CURSOR_COMPACTED, READER_TOO_SLOW, or the leadership ended.
        """
        found = Bounds()
        chosen = tasks.filter_of(request.filter, found)
        found.raise_if_any()
        term = self._host.term
        term.check_may_release()  # a former leader would call cursors of its successor compacted
        feed = term.feed.subscribe(tasks.seq_of(request.cursor))
        reader = _Reader(term, chosen, feed.position)
        _WATCHES.inc()
        reading = asyncio.ensure_future(anext(feed))
        waking = asyncio.ensure_future(self._host.clock.sleep_ms(BOOKMARK_MS))
        try:
            yield reader.bookmark(feed.position)  # at once, so that the reader knows where it began
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
                    waking = asyncio.ensure_future(self._host.clock.sleep_ms(BOOKMARK_MS))
        except Refusal as refusal:
            raise _resumable(refusal, reader.position) from None
        finally:
            await _end(reading, waking)
            _WATCHES.dec()


class _Reader:
    """What one watch has shown so far."""

    def __init__(self, term: Term, chosen: TaskFilter, position: int) -> None:
        self._term, self._chosen = term, chosen
        self.position = position

    def messages(self, entries: list[FeedEntry]) -> Iterator[pb.WatchTasksResponse]:
        """Give the messages of these entries, one an entry as far as it fits."""
        for entry in entries:
            rows = [
                row for row in entry.changes.rows("tasks").values() if row is not None and self._chosen.matches(row)
            ]
            message = pb.WatchTasksResponse()
            size = 0
            for row in rows:
                task: task_pb2.Task = tasks.task_message(row, progress=self._term.session.progress)
                size += task.ByteSize()
                if size > _MESSAGE_BYTES and message.tasks:
                    # Only the last part moves the cursor: who resumes from an earlier one is given the change again.
                    message.cursor = tasks.watch_cursor(self.position)
                    yield message
                    message, size = pb.WatchTasksResponse(), task.ByteSize()
                message.tasks.append(task)
            self.position = entry.seq
            if message.tasks:
                message.cursor = tasks.watch_cursor(entry.seq)
                yield message

    def bookmark(self, seq: int) -> pb.WatchTasksResponse:
        """Return where to resume when everything up to `seq` was read."""
        self.position = max(self.position, seq)
        return pb.WatchTasksResponse(cursor=tasks.watch_cursor(self.position))


async def _end(*waits: asyncio.Future[Any]) -> None:
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


def _resumable(refusal: Refusal, position: int) -> Refusal:
    """Add the cursor from which the reader can resume."""
    metadata = {**refusal.metadata, "cursor": tasks.watch_cursor(position)}
    return Refusal(refusal.reason, refusal.message, metadata, refusal.retry_after_ms, refusal.violations)
