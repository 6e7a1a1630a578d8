"""Every series about conflicts. What only a leader knows is 0 on the other replicas."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

from tercio_conflicts.state.dispute_rows import ConflictRow, ConflictState, Outcome
from tercio_conflicts.state.severity import Severity

OPEN = Gauge("tercio_conflicts_open", "Conflicts that have not ended.", ("type", "severity"))
DECISIONS = Gauge("tercio_conflicts_decisions", "Decisions that are kept.")
RATE = Gauge("tercio_conflicts_resolution_ratio", "Part of the ended and escalated conflicts that strategies ended.")
RESOLUTION = Histogram(
    "tercio_conflicts_resolution_seconds",
    "From when a conflict was raised to its end.",
    ("type",),
    buckets=(1, 5, 15, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 14_400, 86_400),
)
STRATEGIES = Counter("tercio_conflicts_strategies", "Strategies that were tried.", ("strategy", "outcome"))
ESCALATIONS = Counter("tercio_conflicts_escalations", "Conflicts that went to people.", ("type",))
LATE = Counter("tercio_conflicts_late", "Conflicts that were not resolved within the time allowed.", ("type",))
WEBHOOKS = Counter("tercio_conflicts_webhooks", "Posts to the webhook.", ("outcome",))
FAILED_DETECTORS = Counter("tercio_conflicts_failed_detectors", "Looks at which a detector failed.", ("detector",))


def show(rows: Iterable[ConflictRow], *, decisions: int) -> None:
    """Set what a leader knows."""
    tally = Tally[tuple[str, Severity]]()
    by_strategy = judged = 0
    for row in rows:
        if row.state is not ConflictState.RESOLVED:
            tally[row.type, row.severity] += 1
        if row.state in {ConflictState.RESOLVED, ConflictState.ESCALATED}:
            judged += 1
            by_strategy += row.state is ConflictState.RESOLVED and not row.resolved_by.startswith("by ")
    OPEN.clear()
    for (of_type, severity), count in tally.items():
        OPEN.labels(of_type, severity.name.lower()).set(count)
    DECISIONS.set(decisions)
    RATE.set(by_strategy / judged if judged else 0)


def count(row: ConflictRow, before: ConflictRow | None) -> None:
    """Count what happened to a conflict since it was as before."""
    known = len(before.attempts) if before and before.occurrence == row.occurrence else 0
    running = before is not None and known > 0 and before.running is not None
    for each in row.attempts[known - running if running else known :]:
        if each.outcome is not Outcome.RUNNING:
            STRATEGIES.labels(each.strategy, each.outcome.name.lower()).inc()
    escalated = before is not None and before.state is ConflictState.ESCALATED
    if row.state is ConflictState.ESCALATED and not escalated:
        ESCALATIONS.labels(row.type).inc()
        if row.escalation is not None and row.escalation.reason.startswith("it was not resolved within"):
            LATE.labels(row.type).inc()
    if row.state is ConflictState.RESOLVED:
        RESOLUTION.labels(row.type).observe((row.resolved_now - row.raised_now) / 1_000)
