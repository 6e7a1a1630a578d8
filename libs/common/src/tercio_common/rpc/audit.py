"""ListAuditEvents, the same for every service: each has its own messages, of one shape."""

from __future__ import annotations

import hashlib
import sys
from typing import Any, Final, Protocol, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.type.v1.audit_event_pb2 import AuditFilter
from tercio_common.errors import Refusal, StoreError
from tercio_common.ids import decode_cursor, encode_cursor
from tercio_common.journal.audit_events import Selection
from tercio_common.journal.audit_pages import Position, read_page
from tercio_common.machine.host import Host
from tercio_common.rpc.violations import MAX_TEXT, Violations

_CURSOR: Final = "audit"
_SHARD: Final = 0
_PAGE, _LARGEST_PAGE = 100, 1000
_MAX_METHOD: Final = 256
_DIGEST_CHARACTERS: Final = 8
_RETRY_MS: Final = 500
_LAST_SECOND: Final = 253_402_300_799
"""The end of the year 9999, where protobuf's timestamps end."""

ResponseT = TypeVar("ResponseT")


class Request(Protocol):
    """A service's `ListAuditEventsRequest`."""

    page_size: int
    page_token: str

    @property
    def filter(self) -> AuditFilter: ...


async def list_audit_events(host: Host, request: Request, response: type[ResponseT]) -> ResponseT:
    """Answer with a page of the trail of the service that the host leads.

    Raises:
        Refusal: INVALID_ARGUMENT, CURSOR_INVALID, or NO_LEADER.
    """
    found = Violations()
    wanted = _selection(request.filter, found)
    found.check_range("page_size", request.page_size, least=0, most=_LARGEST_PAGE)
    found.raise_if_any()
    term = host.term
    # Whatever is in the journal is durable, but what may be told is what this leader knows to be.
    before = newest = Position(term.committer.committed + 1, term.committer.last_segment)
    if request.page_token:
        before = _read_token(request.page_token, request.filter)
        if before.segment > newest.segment or before.chunk > term.audit.end.number:
            raise _invalid()  # what lies between is nothing, and may be without end
    try:
        page = await read_page(term.audit, wanted, before=before, limit=request.page_size or _PAGE)
    except StoreError as error:
        raise Refusal("NO_LEADER", f"the store does not answer: {error}; retry", retry_after_ms=_RETRY_MS) from error
    term.check_may_release()
    make: Any = response
    token = _token(page.following, request.filter) if page.following else ""
    answer: ResponseT = make(events=page.events, next_page_token=token)
    return answer


def _selection(chosen: AuditFilter, found: Violations) -> Selection:
    found.check_length("filter.principal", chosen.principal, most=MAX_TEXT)
    found.check_length("filter.method", chosen.method, most=_MAX_METHOD)
    found.check_length("filter.request_id", chosen.request_id, most=MAX_TEXT)
    start_ms = _milliseconds("filter.start_time", chosen.start_time, found)
    end_ms = _milliseconds("filter.end_time", chosen.end_time, found) if chosen.HasField("end_time") else sys.maxsize
    return Selection(chosen.principal, chosen.method, chosen.request_id, start_ms, end_ms)


def _milliseconds(field: str, moment: Timestamp, found: Violations) -> int:
    """Return the first whole millisecond that is not before the moment."""
    holds = 0 <= moment.seconds <= _LAST_SECOND and 0 <= moment.nanos <= 999_999_999
    found.check(field, holds, "must be a time from 1970 to 9999")
    return moment.seconds * 1000 - -moment.nanos // 1_000_000


def _token(position: Position, chosen: AuditFilter) -> str:
    return encode_cursor(_CURSOR, shard=_SHARD, position=".".join([*map(str, position), _digest(chosen)]))


def _read_token(text: str, chosen: AuditFilter) -> Position:
    try:
        shard, position = decode_cursor(_CURSOR, text)
        seq, segment, chunk, digest = position.split(".")
        before = Position(int(seq), int(segment), int(chunk))
    except ValueError as error:
        raise _invalid() from error
    if shard != _SHARD or digest != _digest(chosen) or min(before) < 0:
        raise _invalid()
    return before


def _digest(chosen: AuditFilter) -> str:
    return hashlib.sha256(chosen.SerializeToString(deterministic=True)).hexdigest()[:_DIGEST_CHARACTERS]


def _invalid() -> Refusal:
    return Refusal(
        "CURSOR_INVALID",
        "the page token was not made by this service for this filter; list again from the first page",
    )
