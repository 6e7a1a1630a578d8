"""The tables of decisions, conflicts and what follows from them, with their indexes."""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter, itemgetter

from tercio_common.machine.outbox import Outbox
from tercio_common.machine.system_tasks import SystemTasks
from tercio_common.machine.table import Table, TableStore
from tercio_conflicts.state.conflicts import OpenConflicts
from tercio_conflicts.state.contradictions.comparison import Comparison
from tercio_conflicts.state.contradictions.vocabulary import Family, Vocabulary, merged
from tercio_conflicts.state.decisions import Disagreements
from tercio_conflicts.state.dispute_rows import (
    ActionRow,
    ConflictRow,
    ConsultationRow,
    DecisionRow,
    FamilyRow,
    PatternRow,
    PrecedentRow,
)
from tercio_conflicts.state.dispute_rules import DisputeRules
from tercio_conflicts.state.families import family_of_row

DECISIONS = "decisions"
FAMILIES = "families"
PRECEDENTS = "precedents"
CONFLICTS = "conflicts"
PATTERNS = "patterns"
ACTIONS = "actions"
CONSULTATIONS = "consultations"


class Asked:
    """Index of actions and consultations: what is open of each conflict."""

    def __init__(self) -> None:
        self._actions: dict[str, dict[str, None]] = {}
        self._consultations: dict[str, dict[str, None]] = {}

    def changed(
        self, key: str, old: ActionRow | ConsultationRow | None, new: ActionRow | ConsultationRow | None
    ) -> None:
        """See `Index`."""
        for row, adds in ((old, False), (new, True)):
            if row is None:
                continue
            found = self._actions if isinstance(row, ActionRow) else self._consultations
            of_conflict = found.setdefault(row.conflict_id, {})
            if adds:
                of_conflict[key] = None
            else:
                of_conflict.pop(key, None)
            if not of_conflict:
                del found[row.conflict_id]

    def actions(self, conflict_id: str) -> tuple[str, ...]:
        """Return the actions that are open."""
        return tuple(self._actions.get(conflict_id, ()))

    def consultations(self, conflict_id: str) -> tuple[str, ...]:
        """Return the consultations that count."""
        return tuple(self._consultations.get(conflict_id, ()))


class DisputeTables:
    """The tables, entered into a store that others share."""

    def __init__(self, rules: DisputeRules, store: TableStore) -> None:
        self.rules = rules
        self.decisions: Table[DecisionRow] = Table(DECISIONS, itemgetter(0), store=store)
        self.families: Table[FamilyRow] = Table(FAMILIES, itemgetter(0), store=store)
        self.precedents: Table[PrecedentRow] = Table(PRECEDENTS, itemgetter(0), store=store)
        self.conflicts: Table[ConflictRow] = Table(CONFLICTS, itemgetter(0), store=store)
        self.patterns: Table[PatternRow] = Table(PATTERNS, attrgetter("key"), store=store)
        self.actions: Table[ActionRow] = Table(ACTIONS, itemgetter(0), store=store)
        self.consultations: Table[ConsultationRow] = Table(CONSULTATIONS, itemgetter(0), store=store, fed=False)
        self.system_tasks = SystemTasks(store, owner="conflicts")
        self.outbox = Outbox(store)
        self.disagreements = Disagreements(self._comparison())
        self.open_conflicts = OpenConflicts()
        self.asked = Asked()
        self.decisions.add_index(self.disagreements)
        self.conflicts.add_index(self.open_conflicts)
        self.actions.add_index(self.asked)
        self.consultations.add_index(self.asked)
        self.families.add_index(self)

    def changed(self, key: str, old: FamilyRow | None, new: FamilyRow | None) -> None:
        """See `Index`: other families make other contradictions."""
        self.disagreements.use(self._comparison())

    def _comparison(self) -> Comparison:
        added = [family_of_row(row) for row in sorted(self.families.values())]
        return _comparison(merged([*self.rules.families, *added]))


@lru_cache(maxsize=8)
def _comparison(families: tuple[Family, ...]) -> Comparison:
    """Return the comparison of families, which takes some milliseconds to make."""
    return Comparison(Vocabulary(families))
