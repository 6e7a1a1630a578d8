"""Logs and counts how conflicts go on, once it is durable."""

from __future__ import annotations

import structlog

from tercio_common.errors import Refusal
from tercio_common.machine.host import Host
from tercio_conflicts import dispute_metrics
from tercio_conflicts.state.dispute_rows import ConflictRow, ConflictState, Outcome
from tercio_conflicts.state.dispute_tables import CONFLICTS

_log = structlog.get_logger(__name__)


async def report_outcomes(host: Host) -> None:
    """Follow the feed for as long as the leadership lasts."""
    term = host.term
    known: dict[str, ConflictRow] = {row.conflict_id: row for row in host.machine.tables.disputes.conflicts.values()}
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
            for conflict_id, row in entry.changes.rows(CONFLICTS).items():
                if row is None:
                    known.pop(conflict_id, None)
                    continue
                dispute_metrics.count(row, known.get(conflict_id))
                _report(row)
                known[conflict_id] = row


def _report(row: ConflictRow) -> None:
    last = row.attempts[-1] if row.attempts else None
    if row.state is ConflictState.RESOLVED:
        seconds = (row.resolved_now - row.raised_now) / 1_000
        _log.info("conflict_resolved", conflict=row.conflict_id, by=row.resolved_by, seconds=seconds)
    elif row.state is ConflictState.ESCALATED and row.escalation is not None and not row.escalation.reminders:
        _log.warning(
            "conflict_escalated",
            conflict=row.conflict_id,
            reason=row.escalation.reason,
            effect="it waits for somebody: tercio conflicts list --escalated",
        )
    elif last is not None and last.outcome in {Outcome.FAILED, Outcome.EXCEPTION}:
        _log.info("strategy_failed", conflict=row.conflict_id, strategy=last.strategy, reason=last.message)
