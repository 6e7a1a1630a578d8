"""The audit trail as tests read it, and what it must say."""

from __future__ import annotations

from collections.abc import Iterable

from tercio.api.type.v1.audit_event_pb2 import AuditEvent
from tercio_common.journal.audit_events import Selection
from tercio_common.journal.audit_pages import Position, read_page
from tercio_common.machine.host import Host
from tercio_common.machine.records import split_segment
from tercio_common.testing.faulty_journal import FaultyJournal


async def audited(host: Host, wanted: Selection | None = None, *, limit: int = 7) -> list[AuditEvent]:
    """Return every event, the oldest first, read in pages as small as that."""
    committer = host.term.committer
    position: Position | None = Position(committer.committed + 1, committer.last_segment)
    found: list[AuditEvent] = []
    while position is not None:
        page = await read_page(host.term.audit, wanted or Selection(), before=position, limit=limit)
        assert len(page.events) <= limit
        found += page.events
        position = page.following
    return found[::-1]


def mutations(journals: Iterable[FaultyJournal]) -> list[int]:
    """Return the numbers of all records with events that leaders wrote; nothing they wrote was fenced off."""
    segments = dict(pair for journal in journals for pair in journal.appended)
    return [record.seq for _, value in sorted(segments.items()) for record in split_segment(value) if record.events]
