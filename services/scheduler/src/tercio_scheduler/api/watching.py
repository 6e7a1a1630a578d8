"""WatchTasks: changes of tasks in order, without gaps, from a cursor on.

A task is shown when it matches the filter after the change. So a reader that filters by state is not told when a task
leaves that state; one that needs it watches without the states.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Final

from tercio.api.scheduler.v1 import task_pb2
from tercio.api.scheduler.v1 import task_service_pb2 as pb
from tercio_common.journal.feed import FeedEntry
from tercio_common.machine.host import Host
from tercio_common.machine.term import Term
from tercio_common.rpc.watching import watched
from tercio_scheduler import metrics
from tercio_scheduler.state.views import TaskFilter
from tercio_scheduler.translate import tasks
from tercio_scheduler.translate.bounds import Bounds

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
        with _WATCHES.track_inprogress():
            async with aclosing(watched(term, feed, reader, clock=self._host.clock)) as messages:
                async for message in messages:
                    yield message


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
                    message.cursor = self.cursor
                    yield message
                    message, size = pb.WatchTasksResponse(), task.ByteSize()
                message.tasks.append(task)
            self.position = entry.seq
            if message.tasks:
                message.cursor = self.cursor
                yield message

    @property
    def cursor(self) -> str:
        """Where to resume."""
        return tasks.watch_cursor(self.position)

    def bookmark(self, seq: int) -> pb.WatchTasksResponse:
        """Return where to resume when everything up to `seq` was read."""
        self.position = max(self.position, seq)
        return pb.WatchTasksResponse(cursor=self.cursor)
