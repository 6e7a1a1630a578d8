"""WatchClaims, which shows every change from a cursor on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio_common.cursors import decode_seq, encode_seq
from tercio_common.filtering.predicates import Filter
from tercio_common.journal.feed import FeedEntry
from tercio_common.machine.host import Host
from tercio_common.machine.term import Term
from tercio_common.rpc.watching import watched
from tercio_conflicts import metrics
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.tables import CLAIMS
from tercio_conflicts.state.views import view
from tercio_conflicts.translate.claims import claim_message


async def watch_claims(host: Host, cursor: str, selected: Filter[ClaimRow]) -> AsyncIterator[pb.WatchClaimsResponse]:
    """Give every change after the cursor.

    Raises:
        Refusal: CURSOR_INVALID, CURSOR_COMPACTED, READER_TOO_SLOW, or the leadership ended.
    """
    term = host.term
    term.check_may_release()  # a former leader would call cursors of its successor compacted
    position = decode_seq(CLAIMS, cursor) if cursor else term.feed.committed
    reader = _Reader(term, selected, position)
    metrics.WATCHES.inc()
    try:
        async with aclosing(watched(term, term.feed.subscribe(position), reader, clock=host.clock)) as messages:
            async for message in messages:
                yield message
    finally:
        metrics.WATCHES.dec()


class _Reader:
    """What one watch shows."""

    def __init__(self, term: Term, selected: Filter[ClaimRow], position: int) -> None:
        self._term, self._selected, self._position = term, selected, position

    @property
    def cursor(self) -> str:
        return encode_seq(CLAIMS, self._position)

    def messages(self, entries: list[FeedEntry]) -> Iterator[pb.WatchClaimsResponse]:
        for entry in entries:
            rows = entry.changes.rows(CLAIMS)
            found = [row for row in rows.values() if row is not None and self._selected.matches(row)]
            released = [number for number, row in rows.items() if row is None]
            self._position = entry.seq
            if found or released:
                at = self._term.moment()
                yield pb.WatchClaimsResponse(
                    cursor=self.cursor,
                    claims=[claim_message(view(row, at, self._term.session)) for row in found],
                    released_claim_ids=released,
                    seq=entry.seq,
                )

    def bookmark(self, seq: int) -> pb.WatchClaimsResponse:
        self._position = seq
        return pb.WatchClaimsResponse(cursor=self.cursor, seq=seq)
