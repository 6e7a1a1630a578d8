"""What a dry run answers: the event that would be written."""

from __future__ import annotations

from tercio_scaling.state.assessment import Assessment, number_after
from tercio_scaling.state.change import Change
from tercio_scaling.state.rows import EventKind, EventRow


def proposed(change: Change, found: Assessment, *, imagined: bool) -> EventRow:
    """Return what would be written of a verdict; its number is 0. What is `imagined` is no sighting of the pool."""
    verdict = found.verdict
    before = verdict.before if imagined else change.state.decided
    after = number_after(verdict, before)
    reason = verdict.reason
    if found.held:
        after, reason = before, f"a manual change holds, so nothing changes; else: {reason}"
    if change.row.paused:
        after, reason = before, f"the pool is paused, so nothing changes; else: {reason}"
    kind = EventKind.SCALED_UP if after > before else EventKind.SCALED_DOWN
    at = change.at
    return EventRow(
        change.row.pool_id,
        0,
        kind if after != before else EventKind.REFUSED if verdict.limits else EventKind.UNCHANGED,
        at.now,
        at.wall,
        before,
        after,
        verdict.wanted,
        verdict.rule,
        reason,
        at.epoch,
        proposals=verdict.proposals,
        limits=verdict.limits,
        inputs=found.inputs,
        impact=change.impact(before, after),
    )
