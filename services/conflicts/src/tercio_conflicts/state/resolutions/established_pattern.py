"""Established pattern: a choice that was made before, for a scope that holds this one, decides again."""

from __future__ import annotations

from tercio_conflicts.state.contradictions.comparison import Comparison
from tercio_conflicts.state.contradictions.scopes import Relation, relation
from tercio_conflicts.state.detectors.protocol import TECHNICAL_DISAGREEMENT
from tercio_conflicts.state.dispute_rows import ConflictRow, DecisionRow, PrecedentRow
from tercio_conflicts.state.resolutions.parties import parties
from tercio_conflicts.state.resolutions.protocol import Counsel, Plan, Rejected
from tercio_conflicts.state.situation import Situation

NONE_APPLIES = "No applicable framework patterns found"


class EstablishedPattern:
    """Applies the surest precedent that speaks for some of the decisions and against the others."""

    name = "established_pattern"
    types = frozenset({TECHNICAL_DISAGREEMENT})

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison

    def plan(self, conflict: ConflictRow, situation: Situation, counsel: Counsel) -> Plan | Rejected:
        rows = parties(conflict, situation)
        judged = [(each, *self._judged(each, rows)) for each in situation.precedents]
        deciding = [(each, against) for each, speaks_for, against in judged if speaks_for and against]
        if not deciding:
            return Rejected(NONE_APPLIES)
        chosen, against = max(deciding, key=lambda each: (each[0].confidence, each[0].precedent_id))
        return Plan(
            f"established: {chosen.subject}: “{chosen.choice}”, {chosen.confidence / 10:.0f} % sure",
            overrule=tuple(row.number for row in against),
            prevention=f"precedent {chosen.precedent_id} decides this again",
        )

    def _judged(self, precedent: PrecedentRow, rows: list[DecisionRow]) -> tuple[list[DecisionRow], list[DecisionRow]]:
        """Return the decisions that a precedent speaks for, and those that it speaks against."""
        established = self._comparison.stated(precedent.subject, precedent.choice, precedent.scope)
        near = [row for row in rows if relation(precedent.scope, row.scope) is not Relation.APART]
        against = [
            row
            for row in near
            if self._comparison.contradiction(
                established, self._comparison.stated(row.subject, row.choice, row.scope)._replace(deviates=False)
            )
        ]
        return [row for row in near if row not in against], against
