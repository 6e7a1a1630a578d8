"""De-duplication: a retried request, or a frame sent again, has no second effect.

What was answered is part of the state, so it survives a take-over. A request is entered in the same step that decides
it, so a retry finds it also while the first call still waits for its commit. Entries are kept for their whole window;
when too many are kept, new requests are refused rather than old ones forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Generic, NamedTuple, TypeVar

from tercio_common.errors import Refusal
from tercio_common.journal.peer_epochs import PeerEpochs
from tercio_common.machine.calls import Call
from tercio_common.machine.table import Table, TableStore

REQUESTS = "host.requests"
SESSIONS = "host.sessions"
_EXPIRED_PER_RECORD = 16
"""Forgetting goes in small steps with each record, so that replay forgets exactly the same."""
_LOOKS_PER_RECORD = 512
"""Rows that were seen again since they were entered are entered anew; looking at that many takes half a millisecond."""

RowT = TypeVar("RowT")


class RequestRow(NamedTuple):
    """A request that was carried out."""

    principal: str
    request_id: str
    method: str
    digest: bytes
    reply: bytes
    received: int


class SessionRow(NamedTuple):
    """How far a stream session got; another principal's of the same id is another one."""

    principal: str
    session_id: str
    last_frame: int
    seen: int


class _Ageing(Generic[RowT]):
    """Index of a table by time, for forgetting rows in the order of (time, key), which depends on nothing else.

    A row that is seen again keeps its entry until that comes up: an entry for each frame would be too many.
    """

    def __init__(self, table: Table[RowT], *, time_of: Callable[[RowT], int], window_ms: int) -> None:
        self._table, self._time_of, self._window_ms = table, time_of, window_ms
        self._heap: list[tuple[int, Any]] = []
        table.add_index(self)

    def changed(self, key: Any, old: RowT | None, new: RowT | None) -> None:
        if old is None and new is not None:
            heappush(self._heap, (self._time_of(new), key))

    def has_expired(self, now: int) -> bool:
        """Tell whether a row may be forgotten, as far as its entry tells."""
        return bool(self._heap) and self._heap[0][0] + self._window_ms <= now

    def forget(self, now: int) -> None:
        """Delete some of the rows that are older than the window, the oldest first."""
        left = _EXPIRED_PER_RECORD
        for _ in range(_LOOKS_PER_RECORD):
            if not left or not self.has_expired(now):
                return
            entered, key = heappop(self._heap)
            row = self._table.get(key)
            if row is None:
                continue
            if (seen := self._time_of(row)) != entered:
                heappush(self._heap, (seen, key))
            else:
                self._table.delete(key)
                left -= 1


class Requests:
    """What one machine remembers of its callers: the tables of requests, of sessions and of peers."""

    def __init__(
        self, store: TableStore, *, window_ms: int, retry_age_ms: int, limit: int, session_window_ms: int
    ) -> None:
        """Add the tables to `store`."""
        self._retry_age_ms = retry_age_ms
        self._limit = limit
        self._requests: Table[RequestRow] = Table(
            REQUESTS, lambda row: (row.principal, row.request_id), store=store, fed=False
        )
        self._sessions: Table[SessionRow] = Table(
            SESSIONS, lambda row: (row.principal, row.session_id), store=store, fed=False
        )
        self.peers = PeerEpochs(store)
        self._old_requests = _Ageing(self._requests, time_of=lambda row: row.received, window_ms=window_ms)
        self._old_sessions = _Ageing(self._sessions, time_of=lambda row: row.seen, window_ms=session_window_ms)

    def find(self, call: Call, *, now: int) -> RequestRow | None:
        """Return what a request with this id did already.

        Raises:
            Refusal: REQUEST_ID_REUSED, REQUEST_TOO_OLD or REQUEST_IDS_FULL.
        """
        if not call.request_id:
            return None
        if call.age_ms > self._retry_age_ms:
            raise Refusal(
                "REQUEST_TOO_OLD",
                f"the request was first sent {call.age_ms} ms ago, ids are honoured for {self._retry_age_ms} ms; "
                "look whether it was carried out, then send it with a new request id",
            )
        row = self._requests.get((call.principal, call.request_id))
        if row is None:
            # Where one has expired, the record of this request makes room.
            if len(self._requests) >= self._limit and not self._old_requests.has_expired(now):
                raise Refusal("REQUEST_IDS_FULL", "too many request ids are kept; retry later", retry_after_ms=1000)
            return None
        if (row.method, row.digest) != (call.method, call.digest):
            raise Refusal(
                "REQUEST_ID_REUSED", f"request id {call.request_id!r} was used with other content; choose a new one"
            )
        return row

    def is_duplicate_frame(self, call: Call) -> bool:
        """Tell whether the frame was recorded before.

        Raises:
            Refusal: SESSION_EXPIRED or FRAME_OUT_OF_ORDER.
        """
        row = self._sessions.get((call.principal, call.session_id))
        last = row.last_frame if row else 0
        if call.frame_number <= last:
            return True
        if call.frame_number == last + 1:
            return False
        if row is None:
            raise Refusal("SESSION_EXPIRED", "the session is not known; open a new one and send again what is open")
        raise Refusal(
            "FRAME_OUT_OF_ORDER",
            f"frame {call.frame_number} follows frame {last}; send frame {last + 1} next",
            {"expectedFrame": str(last + 1)},
        )

    def remember(self, call: Call, *, reply: bytes, now: int) -> None:
        """Enter a call that is being carried out; called for each record, also on replay."""
        if call.request_id:
            row = RequestRow(call.principal, call.request_id, call.method, call.digest, reply, now)
            self._requests.put(row)
        if call.session_id:
            self._sessions.put(SessionRow(call.principal, call.session_id, call.frame_number, now))
        self.peers.remember(call.peer)
        self._old_requests.forget(now)
        self._old_sessions.forget(now)
