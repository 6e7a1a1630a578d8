"""Families of choices that operators add."""

from __future__ import annotations

from tercio_conflicts.state.contradictions.vocabulary import Family, Option
from tercio_conflicts.state.dispute_rows import FamilyRow

MOST_FAMILIES = 1_000


def family_of_row(row: FamilyRow) -> Family:
    """Return the family that a row describes."""
    return Family(
        name=row.name,
        subjects=row.subjects,
        severity=row.severity,
        options=tuple(Option(name, names, members) for name, names, members in row.options),
        general=row.general,
        common_words=row.common_words,
    )
