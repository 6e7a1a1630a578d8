"""Technical disagreement: decisions of several agents contradict each other in one scope."""

from __future__ import annotations

from collections.abc import Iterable

from tercio_conflicts.state.contradictions.words import stems_of
from tercio_conflicts.state.detectors.protocol import TECHNICAL_DISAGREEMENT, Finding, conflict_id, labels
from tercio_conflicts.state.dispute_rows import DecisionRow
from tercio_conflicts.state.severity import Severity
from tercio_conflicts.state.situation import Disagreement, Situation

_SURE = 900
"""Both sides are at least that sure, in thousandths: nobody will give way by himself."""
_UNSURE = 400


class TechnicalDisagreements:
    """One conflict for everything that contradicts in one family of choices, or subject, and scope."""

    name = "technical_disagreement"

    def detect(self, situation: Situation) -> Iterable[Finding]:
        groups: dict[tuple[str, str], list[Disagreement]] = {}
        for each in situation.disagreements:
            groups.setdefault(_group(each), []).append(each)
        for (topic, scope), found in sorted(groups.items()):
            yield _finding(topic, scope, found)


def _group(each: Disagreement) -> tuple[str, str]:
    """Return what a contradiction is about, and the wider of the two scopes."""
    subjects = " ".join(sorted(set(stems_of(each.one.subject)) & set(stems_of(each.other.subject))))
    scope = min(each.one.scope, each.other.scope, key=lambda text: (len(text), text))
    return each.contradiction.family or subjects, scope


def _finding(topic: str, scope: str, found: list[Disagreement]) -> Finding:
    decisions = {row.number: row for each in found for row in (each.one, each.other)}
    strongest = max(found, key=lambda each: (each.contradiction.severity, each.contradiction.confidence))
    quoted = {f"decision {number}": _quoted(decisions[number]) for number in sorted(decisions)[:8]}
    kind = strongest.contradiction.kind.name.lower()
    return Finding(
        conflict_id("technical_conflict", topic, scope),
        TECHNICAL_DISAGREEMENT,
        tuple(sorted({row.agent_id for row in decisions.values()})),
        _severity(strongest.contradiction.severity, list(decisions.values())),
        max(each.contradiction.confidence for each in found),
        labels(topic=topic, scope=scope, contradiction_type=kind, type="decisions", **quoted),
        tasks=tuple(sorted({row.task_id for row in decisions.values()} - {""})),
        decisions=tuple(sorted(decisions)),
    )


def _quoted(row: DecisionRow) -> str:
    who = f"{row.agent_id} ({row.role})" if row.role else row.agent_id
    return f"{who}: {row.subject}: “{row.choice[:200]}”, {row.confidence / 10:.0f} % sure"


def _severity(of_family: Severity, decisions: list[DecisionRow]) -> Severity:
    """Worse when both sides are sure of it, less bad when one is not."""
    least = sorted(row.confidence for row in decisions)[0]
    step = (least >= _SURE) - (least < _UNSURE)
    return Severity(min(Severity.CRITICAL, max(Severity.LOW, of_family + step)))
