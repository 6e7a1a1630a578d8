"""Decisions: recorded, superseded by an agent's own later one, and compared with those of others.

What contradicts what is derived from the table, and worked out when it is first asked for: each decision is compared
once with those that share a subject's word or a family of choices with it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tercio_common.errors import Refusal
from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table
from tercio_conflicts.state.contradictions.comparison import Comparison, Stated
from tercio_conflicts.state.contradictions.scopes import Relation, relation
from tercio_conflicts.state.dispute_commands import DecisionSpec
from tercio_conflicts.state.dispute_rows import DecisionRow, Standing
from tercio_conflicts.state.rows import NUMBERS_A_RECORD
from tercio_conflicts.state.situation import Disagreement


class Disagreements:
    """Index of the table of decisions: which contradict each other."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self._fresh: dict[int, DecisionRow] = {}
        self._known: dict[int, tuple[DecisionRow, Stated]] = {}
        self._by_topic: dict[str, dict[int, None]] = {}
        self._pairs: dict[int, dict[int, Disagreement]] = {}
        self._of_agent: dict[str, dict[int, DecisionRow]] = {}

    def changed(self, key: int, old: DecisionRow | None, new: DecisionRow | None) -> None:
        """See `Index`."""
        if old is not None:
            self._of_agent[old.agent_id].pop(key, None)
            if not self._of_agent[old.agent_id]:
                del self._of_agent[old.agent_id]
            self._forget(key)
        if new is not None:
            self._of_agent.setdefault(new.agent_id, {})[key] = new
            if new.standing is Standing.STANDING:
                self._fresh[key] = new

    def use(self, comparison: Comparison) -> None:
        """Compare everything anew, in other words."""
        rows = {**{key: row for key, (row, _) in self._known.items()}, **self._fresh}
        self.comparison = comparison
        self._known, self._by_topic, self._pairs, self._fresh = {}, {}, {}, rows

    def of(self, agent_id: str) -> Iterable[DecisionRow]:
        """Return an agent's decisions."""
        return tuple(self._of_agent.get(agent_id, {}).values())

    def all(self) -> list[Disagreement]:
        """Return every pair that contradicts each other, in order."""
        self._compare()
        return [
            self._pairs[low][high] for low in sorted(self._pairs) for high in sorted(self._pairs[low]) if low < high
        ]

    def with_(self, number: int) -> list[Disagreement]:
        """Return every contradiction of one decision."""
        self._compare()
        return [pair for _, pair in sorted(self._pairs.get(number, {}).items())]

    def like(self, row: DecisionRow) -> list[Disagreement]:
        """Return what a decision would contradict that is not made yet."""
        self._compare()
        stated = self._stated(row)
        found = (self._judged(row, stated, *self._known[number]) for number in self._candidates(stated))
        return [each for each in found if each is not None]

    def _compare(self) -> None:
        for number in sorted(self._fresh):
            row = self._fresh[number]
            stated = self._stated(row)
            for other in self._candidates(stated):
                found = self._judged(row, stated, *self._known[other])
                if found is not None:
                    self._pairs.setdefault(number, {})[other] = found
                    self._pairs.setdefault(other, {})[number] = found
            self._known[number] = row, stated
            for topic in topics(stated):
                self._by_topic.setdefault(topic, {})[number] = None
        self._fresh.clear()

    def _candidates(self, stated: Stated) -> list[int]:
        return sorted({number for topic in topics(stated) for number in self._by_topic.get(topic, ())})

    def _judged(
        self, row: DecisionRow, stated: Stated, other: DecisionRow, other_stated: Stated
    ) -> Disagreement | None:
        if row.agent_id == other.agent_id:
            return None
        found = self.comparison.contradiction(stated, other_stated)
        first, second = sorted((row, other), key=lambda each: each.number)
        return Disagreement(first, second, found) if found is not None else None

    def _stated(self, row: DecisionRow) -> Stated:
        return self.comparison.stated(row.subject, row.choice, row.scope)

    def _forget(self, number: int) -> None:
        self._fresh.pop(number, None)
        known = self._known.pop(number, None)
        if known is None:
            return
        for topic in topics(known[1]):
            self._by_topic[topic].pop(number, None)
            if not self._by_topic[topic]:
                del self._by_topic[topic]
        for other in self._pairs.pop(number, {}):
            self._pairs[other].pop(number, None)
            if not self._pairs[other]:
                del self._pairs[other]


def topics(stated: Stated) -> set[str]:
    """Return by what decisions that might contradict this one are found."""
    named = {f"family {meaning.family}" for each in stated.statements for meaning in each.meanings}
    return named | {f"family {family}" for family in stated.families} | set(stated.subject or ("",))


def made(spec: DecisionSpec, index: int, at: Moment, disagreements: Disagreements) -> DecisionRow:
    """Return the row of a decision; what it supersedes is its agent's former one on the same thing."""
    former = superseded(spec, disagreements)
    return DecisionRow(
        number=at.seq * NUMBERS_A_RECORD + index,
        agent_id=spec.agent_id,
        role=spec.role,
        task_id=spec.task_id,
        subject=spec.subject,
        choice=spec.choice,
        scope=spec.scope,
        rationale=spec.rationale,
        confidence=spec.confidence,
        decided_now=at.now,
        decided_wall=at.wall,
        supersedes=max((row.number for row in former), default=0),
    )


def superseded(spec: DecisionSpec, disagreements: Disagreements) -> list[DecisionRow]:
    """Return the agent's own decisions in this scope that say the same or the contrary."""
    comparison = disagreements.comparison
    stated = comparison.stated(spec.subject, spec.choice, spec.scope)
    found: list[DecisionRow] = []
    for row in disagreements.of(spec.agent_id):
        if relation(row.scope, spec.scope) is not Relation.SAME:
            continue
        before = comparison.stated(row.subject, row.choice, row.scope)
        same = (before.subject, before.statements) == (stated.subject, stated.statements)
        if same or comparison.contradiction(before, stated) is not None:
            found.append(row)
    return found


def present(number: int, table: Table[DecisionRow]) -> DecisionRow:
    """Return a decision that is kept.

    Raises:
        Refusal: DECISION_NOT_FOUND.
    """
    row = table.get(number)
    if row is None:
        raise Refusal("DECISION_NOT_FOUND", f"no decision {number} is kept; it was withdrawn, superseded or is too old")
    return row
