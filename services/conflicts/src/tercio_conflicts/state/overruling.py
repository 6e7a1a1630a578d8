"""Overruling: of decisions that contradict each other one stands, and the others count no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tercio_common.errors import Refusal
from tercio_conflicts.state.dispute_events import DecisionsSet
from tercio_conflicts.state.dispute_rows import Standing
from tercio_conflicts.state.dispute_tables import DisputeTables


def overruled(tables: DisputeTables, number: int, conflict_id: str, *, losing: Sequence[int] = ()) -> list[Any]:
    """Return the event by which what contradicts a decision, or `losing`, is overruled.

    Raises:
        Refusal: DECISION_NOT_FOUND.
    """
    if number and number not in tables.decisions:
        raise Refusal("DECISION_NOT_FOUND", f"no decision {number} is kept; get the conflict to see which there are")
    against = losing or [
        (each.other if each.one.number == number else each.one).number for each in tables.disagreements.with_(number)
    ]
    rows = [tables.decisions[each] for each in dict.fromkeys(against) if each in tables.decisions]
    if not rows:
        return []
    return [DecisionsSet(tuple(row._replace(standing=Standing.OVERRULED, overruled_by=conflict_id) for row in rows))]
