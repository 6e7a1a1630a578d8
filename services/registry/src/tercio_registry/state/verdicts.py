"""The one rule of every verdict beside the lease: it changes when observations in a row speak against it.

An agent that is well ails from something after `Rules.failure_threshold` bad observations in a row, and one that ails
from it is cured after `Rules.recovery_streak` good ones. What fits the verdict, or says nothing, breaks the row. Only
rows under way are kept, so a healthy fleet costs nothing; a new leader begins to count anew, and keeps the verdicts.
"""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from tercio_registry.state.agents import AgentRow, Ailment
from tercio_registry.state.rules import Rules
from tercio_registry.state.vitals import Sign


class _Row(NamedTuple):
    """So many observations in a row against a verdict on that incarnation."""

    incarnation: int
    ailing: bool
    length: int


class Contradictions:
    """Observations in a row that speak against what agents are held for."""

    def __init__(self, rules: Rules) -> None:
        """Count none yet."""
        self._rules = rules
        self._rows: dict[str, dict[Ailment, _Row]] = {}

    def observe(self, row: AgentRow, sign: Sign) -> bool:
        """Take note of an observation; return whether the verdict is due to change."""
        ailing = sign.ailment in row.ailments
        rows = self._rows.get(row.agent_id)
        if sign.good is not ailing:
            if rows is not None and rows.pop(sign.ailment, None) is not None and not rows:
                del self._rows[row.agent_id]
            return False
        if rows is None:
            rows = self._rows[row.agent_id] = {}
        former = rows.get(sign.ailment)
        if former is None or former[:2] != (row.incarnation, ailing):
            former = _Row(row.incarnation, ailing, 0)
        rows[sign.ailment] = _Row(row.incarnation, ailing, former.length + 1)
        return self._is_due(rows[sign.ailment])

    def due(self, row: AgentRow) -> list[Ailment]:
        """Return the ailments of which the agent is to be found or cured."""
        return [
            ailment
            for ailment, found in self._rows.get(row.agent_id, {}).items()
            if found[:2] == (row.incarnation, ailment in row.ailments) and self._is_due(found)
        ]

    def keep(self, agent_ids: Set[str]) -> None:
        """Forget all but these agents."""
        self._rows = {each: rows for each, rows in self._rows.items() if each in agent_ids}

    def _is_due(self, row: _Row) -> bool:
        return row.length >= (self._rules.recovery_streak if row.ailing else self._rules.failure_threshold)
