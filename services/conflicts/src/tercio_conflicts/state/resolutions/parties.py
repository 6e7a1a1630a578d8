"""What the strategies of disagreement share: the decisions, and what follows when one of them prevails."""

from __future__ import annotations

from tercio_conflicts.state.dispute_rows import ConflictRow, DecisionRow, Standing
from tercio_conflicts.state.resolutions.protocol import Plan
from tercio_conflicts.state.situation import Situation


def parties(conflict: ConflictRow, situation: Situation) -> list[DecisionRow]:
    """Return the decisions of a conflict that still stand, in order."""
    rows = [situation.decisions[number] for number in conflict.decisions if number in situation.decisions]
    return [row for row in rows if row.standing is Standing.STANDING]


def prevails(row: DecisionRow, conflict: ConflictRow, situation: Situation, why: str) -> Plan:
    """Return the plan by which a decision prevails over all that contradict it, or were reported to do so."""
    pairs = [(each.one, each.other) for each in situation.disagreements if row in (each.one, each.other)]
    against = {(other if one == row else one).number for one, other in pairs}
    reported = set(conflict.decisions) - {row.number} if conflict.reported_by else set()
    overruled = sorted(against | reported)
    return Plan(
        f"{why}: {row.subject}: “{row.choice}”",
        overrule=tuple(overruled),
        precedent=row.number,
        prevention="it is an established choice from now on",
    )
