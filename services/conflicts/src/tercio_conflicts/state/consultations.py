"""Consultations: agents are asked by a system task which decision prevails, and the majority of answers counts."""

from __future__ import annotations

import json
from collections import Counter
from typing import Final

from tercio_common.machine.system_tasks import Result, SystemTaskOutcome
from tercio_conflicts.state.dispute_rows import ConflictRow, ConsultationRow
from tercio_conflicts.state.dispute_tables import DisputeTables

KIND: Final = "tercio.decide"
_MOST_QUOTED: Final = 8
_MOST_TEXT: Final = 500
_MOST_REASON: Final = 512


def question(row: ConflictRow, tables: DisputeTables) -> bytes:
    """Return what an agent is asked: which of the decisions prevails, by its id."""
    decisions = [tables.decisions[number] for number in row.decisions if number in tables.decisions]
    asked = {
        "conflict_id": row.conflict_id,
        "type": row.type,
        "context": dict(row.context),
        "decisions": [
            {
                "decision_id": each.number,
                "agent_id": each.agent_id,
                "role": each.role,
                "subject": each.subject,
                "choice": each.choice[:_MOST_TEXT],
                "scope": each.scope,
                "rationale": each.rationale[:_MOST_TEXT],
                "confidence": each.confidence / 1_000,
            }
            for each in decisions[:_MOST_QUOTED]
        ],
    }
    return json.dumps(asked, sort_keys=True).encode()


def answered(row: ConsultationRow, outcome: SystemTaskOutcome) -> ConsultationRow:
    """Return a consultation after its system task ended."""
    if outcome.result is not Result.SUCCEEDED:
        why = outcome.error_message or outcome.result.name.lower()
        return row._replace(answered=True, message=why[:_MOST_REASON])
    try:
        said = json.loads(outcome.output)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("decision_id"), int):
        return row._replace(answered=True, message="the answer is no object with the number `decision_id`")
    return row._replace(answered=True, choice=said["decision_id"], message=str(said.get("reason", ""))[:_MOST_REASON])


def verdict(rows: list[ConsultationRow], decisions: tuple[int, ...]) -> int | None:
    """Return the decision that most were for, 0 when that is none; None while answers that matter are missing."""
    votes = Counter(row.choice for row in rows if row.answered and row.choice in decisions)
    missing = sum(not row.answered for row in rows)
    ranked = votes.most_common(2)
    lead = ranked[0][1] - (ranked[1][1] if len(ranked) > 1 else 0) if ranked else 0
    if lead > missing:
        return ranked[0][0]
    return None if missing else 0
