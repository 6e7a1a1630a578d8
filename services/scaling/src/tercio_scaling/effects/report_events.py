"""Logs and counts what is told of pools, once it is durable."""

from __future__ import annotations

from typing import Final

import structlog

from tercio_common.errors import Refusal
from tercio_common.machine.host import Host
from tercio_scaling import metrics
from tercio_scaling.state.rows import EventKind, EventRow
from tercio_scaling.state.tables import EVENTS

_BAD: Final = {
    EventKind.DRIVER_FAILED: "the pool stays as it is until the driver does what it is asked",
    EventKind.WRONG_AGENT_LEFT: "what it held is done again by others",
    EventKind.DRAIN_LIMIT_REACHED: "what they hold is done again by others",
    EventKind.AGENT_LOST: "its driver makes another one",
}
"""Kinds that people should look at, with the consequence."""
_log = structlog.get_logger(__name__)


async def report_events(host: Host) -> None:
    """Follow the feed for as long as the leadership lasts."""
    term = host.term
    told = {row.pool_id: row.last_event for row in host.machine.tables.states.values()}
    feed = term.feed.subscribe(None)
    while True:
        try:
            entries = await anext(feed)
        except Refusal as refusal:
            if refusal.reason != "READER_TOO_SLOW":
                raise
            feed = term.feed.subscribe(None)  # what was missed is not counted
            continue
        for entry in entries:
            for row in entry.changes.rows(EVENTS).values():
                if row is not None and row.number > told.get(row.pool_id, 0):
                    told[row.pool_id] = row.number
                    _report(row)


def _report(row: EventRow) -> None:
    kind = row.kind.name.lower()
    metrics.EVENTS.labels(row.pool_id, kind).inc()
    facts = {"event_id": f"{row.pool_id}/{row.number}", "reason": row.reason}
    if row.kind in _BAD:
        _log.warning(kind, **facts, agents=row.agent_ids, effect=_BAD[row.kind])
    elif row.before != row.after:
        _log.info(kind, **facts, before=row.before, after=row.after, rule=row.rule)
    else:
        _log.info(kind, **facts)
