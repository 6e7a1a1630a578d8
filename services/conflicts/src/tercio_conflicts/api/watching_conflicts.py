"""WatchConflicts, which shows every change from a cursor on, and WatchActions, which begins with what is open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

from tercio.api.conflicts.v1 import conflict_service_pb2 as pb
from tercio_common.cursors import decode_seq, encode_seq
from tercio_common.filtering.predicates import Filter
from tercio_common.journal.feed import FeedEntry
from tercio_common.machine.host import Host
from tercio_common.machine.term import Term
from tercio_common.rpc.watching import watched
from tercio_conflicts.state.dispute_rows import ConflictRow
from tercio_conflicts.state.dispute_tables import ACTIONS, CONFLICTS
from tercio_conflicts.translate.conflicts import action_message

Message = Callable[[ConflictRow, Any, Any], Any]


async def watch_conflicts(
    host: Host, cursor: str, selected: Filter[ConflictRow], message: Message
) -> AsyncIterator[pb.WatchConflictsResponse]:
    """Give every change after the cursor.

    Raises:
        Refusal: CURSOR_INVALID, CURSOR_COMPACTED, READER_TOO_SLOW, or the leadership ended.
    """
    term = host.term
    term.check_may_release()  # a former leader would call cursors of its successor compacted
    position = decode_seq(CONFLICTS, cursor) if cursor else term.feed.committed
    reader = _Conflicts(term, selected, message, position)
    async with aclosing(watched(term, term.feed.subscribe(position), reader, clock=host.clock)) as messages:
        async for shown in messages:
            yield shown


async def watch_actions(host: Host, cursor: str) -> AsyncIterator[pb.WatchActionsResponse]:
    """Give what is open, unless there is a cursor, and then every change.

    Raises:
        Refusal: CURSOR_INVALID, CURSOR_COMPACTED, READER_TOO_SLOW, or the leadership ended.
    """
    term = host.term
    term.check_may_release()
    position = decode_seq(ACTIONS, cursor) if cursor else term.tip.seq
    tables = host.machine.tables.disputes
    opened = [] if cursor else [action_message(row) for row in sorted(tables.actions.values())]
    await term.committed(min(position, term.tip.seq))
    feed = term.feed.subscribe(position)
    if opened:
        yield pb.WatchActionsResponse(cursor=encode_seq(ACTIONS, position), actions=opened)
    async with aclosing(watched(term, feed, _Actions(position), clock=host.clock)) as messages:
        async for shown in messages:
            yield shown


class _Conflicts:
    """What one watch of conflicts shows."""

    def __init__(self, term: Term, selected: Filter[ConflictRow], message: Message, position: int) -> None:
        self._term, self._selected, self._message, self._position = term, selected, message, position

    @property
    def cursor(self) -> str:
        return encode_seq(CONFLICTS, self._position)

    def messages(self, entries: list[FeedEntry]) -> Iterator[pb.WatchConflictsResponse]:
        for entry in entries:
            rows = entry.changes.rows(CONFLICTS)
            found = [row for row in rows.values() if row is not None and self._selected.matches(row)]
            gone = [conflict_id for conflict_id, row in rows.items() if row is None]
            self._position = entry.seq
            if found or gone:
                at = self._term.moment()
                shown = [self._message(row, self._term.machine, at) for row in found]
                yield pb.WatchConflictsResponse(cursor=self.cursor, conflicts=shown, forgotten_conflict_ids=gone)

    def bookmark(self, seq: int) -> pb.WatchConflictsResponse:
        self._position = seq
        return pb.WatchConflictsResponse(cursor=self.cursor)


class _Actions:
    """What one watch of actions shows."""

    def __init__(self, position: int) -> None:
        self._position = position

    @property
    def cursor(self) -> str:
        return encode_seq(ACTIONS, self._position)

    def messages(self, entries: list[FeedEntry]) -> Iterator[pb.WatchActionsResponse]:
        for entry in entries:
            rows = entry.changes.rows(ACTIONS)
            opened = [action_message(row) for row in rows.values() if row is not None]
            closed = [action_id for action_id, row in rows.items() if row is None]
            self._position = entry.seq
            if opened or closed:
                yield pb.WatchActionsResponse(cursor=self.cursor, actions=opened, closed_action_ids=closed)

    def bookmark(self, seq: int) -> pb.WatchActionsResponse:
        self._position = seq
        return pb.WatchActionsResponse(cursor=self.cursor)
