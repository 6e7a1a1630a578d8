"""De-duplication: a retried request, or a frame sent again, has no second effect.

What was answered is part of the state, so it survives a take-over. A request is entered in the same step that decides
it, so a retry finds it also while the first call still waits for its commit. Entries are kept for their whole window;
when too many are kept, new requests are refused rather than old ones forgotten.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from tercio_common.errors import Refusal
from tercio_common.machine.calls import Call
from tercio_common.machine.table import Table, TableStore

REQUESTS = "host.requests"
SESSIONS = "host.sessions"
_EXPIRED_PER_RECORD = 16
"""Forgetting goes in small steps with each record, so that replay forgets exactly the same."""


class RequestRow(NamedTuple):
    """A request that was carried out."""

    principal: str
    request_id: str
    method: str
    digest: bytes
    reply: bytes
    received: int


class SessionRow(NamedTuple):
    """How far a stream session got."""

    session_id: str
    last_frame: int
    seen: int


class _ArrivalOrder:
    """Requests in the order of receipt; entries of deleted or replaced rows are skipped when they come up."""

    def __init__(self) -> None:
        self.queue: deque[tuple[int, tuple[str, str]]] = deque()

    def changed(self, key: tuple[str, str], old: RequestRow | None, new: RequestRow | None) -> None:
        if new is not None:
            self.queue.append((new.received, key))


class _SessionOrder:
    def __init__(self) -> None:
        self.queue: deque[tuple[int, str]] = deque()

    def changed(self, key: str, old: SessionRow | None, new: SessionRow | None) -> None:
        if old is None and new is not None:
            self.queue.append((new.seen, key))


class Requests:
    """The table of requests and the table of sessions of one machine."""

    def __init__(
        self, store: TableStore, *, window_ms: int, retry_age_ms: int, limit: int, session_window_ms: int
    ) -> None:
        """Add the tables to `store`."""
        self._window_ms = window_ms
        self._retry_age_ms = retry_age_ms
        self._limit = limit
        self._session_window_ms = session_window_ms
        self._requests: Table[RequestRow] = Table(
            REQUESTS, lambda row: (row.principal, row.request_id), store=store, fed=False
        )
        self._sessions: Table[SessionRow] = Table(SESSIONS, lambda row: row.session_id, store=store, fed=False)
        self._arrivals, self._session_order = _ArrivalOrder(), _SessionOrder()
        self._requests.add_index(self._arrivals)
        self._sessions.add_index(self._session_order)

    def find(self, call: Call) -> RequestRow | None:
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
            if len(self._requests) >= self._limit:
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
        row = self._sessions.get(call.session_id)
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
            self._sessions.put(SessionRow(call.session_id, call.frame_number, now))
        self._forget_requests(now)
        self._forget_sessions(now)

    def _forget_requests(self, now: int) -> None:
        queue = self._arrivals.queue
        for _ in range(_EXPIRED_PER_RECORD):
            if not queue or queue[0][0] + self._window_ms > now:
                return
            received, key = queue.popleft()
            row = self._requests.get(key)
            if row is not None and row.received == received:
                self._requests.delete(key)

    def _forget_sessions(self, now: int) -> None:
        queue = self._session_order.queue
        for _ in range(_EXPIRED_PER_RECORD):
            if not queue or queue[0][0] + self._session_window_ms > now:
                return
            _, key = queue.popleft()
            row = self._sessions.get(key)
            if row is None:
                continue
            if row.seen + self._session_window_ms > now:
                queue.append((row.seen, key))
            else:
                self._sessions.delete(key)

    def sort(self) -> None:
        """Bring the orders of arrival into order after rows were loaded from a snapshot."""
        self._arrivals.queue = deque(sorted(self._arrivals.queue))
        self._session_order.queue = deque(sorted(self._session_order.queue))
