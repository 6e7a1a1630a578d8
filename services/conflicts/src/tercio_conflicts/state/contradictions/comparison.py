"""Whether two decisions contradict each other, and in which way.

Six rules, the surest first. Each compares what the two state (`statements`), within one scope, about related subjects.
What they cannot tell apart they do not report: a missed contradiction costs a review, a false one costs trust.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

from tercio_conflicts.state.contradictions import cues
from tercio_conflicts.state.contradictions.scopes import Relation, relation
from tercio_conflicts.state.contradictions.statements import Statement, statements_of
from tercio_conflicts.state.contradictions.vocabulary import ANY, Meaning, Vocabulary
from tercio_conflicts.state.contradictions.words import stems_of
from tercio_conflicts.state.severity import Severity

_MOST_NAMED: Final = 4
"""Words of an answer that only names something, if its subject has one answer."""
_FEW_NAMED: Final = 2
"""The same for any other subject."""


class Kind(IntEnum):
    """In which way two decisions contradict each other; the numbers are those of the contract."""

    EXCLUSIVE_CHOICES = 1
    CHOSEN_AND_REJECTED = 2
    DIFFERENT_VALUES = 3
    DONE_AND_NOT_DONE = 4
    DIFFERENT_MEANS = 5
    DIFFERENT_ANSWERS = 6


CONFIDENCE: Final = {
    Kind.EXCLUSIVE_CHOICES: 0.95,
    Kind.CHOSEN_AND_REJECTED: 0.95,
    Kind.DIFFERENT_VALUES: 0.9,
    Kind.DONE_AND_NOT_DONE: 0.9,
    Kind.DIFFERENT_MEANS: 0.85,
    Kind.DIFFERENT_ANSWERS: 0.85,
}
"""How sure each rule is; measured on the labelled pairs of the tests, of which each has at least that share right."""


class Contradiction(NamedTuple):
    """How two decisions contradict each other.

    Attributes:
        family: of the choices; empty when it is none that is known.
        severity: by the family, one lower when one scope lies inside the other.
    """

    kind: Kind
    family: str
    confidence: float
    severity: Severity


class Stated(NamedTuple):
    """A decision as it is compared."""

    subject: tuple[str, ...]
    families: frozenset[str]
    statements: tuple[Statement, ...]
    scope: str
    deviates: bool


class Comparison:
    """Compares decisions in the words of one vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.stated = lru_cache(maxsize=4_096)(self._stated)

    def contradiction(self, one: Stated, other: Stated) -> Contradiction | None:
        """Return how two decisions contradict each other; None when nothing says that they do."""
        where = relation(one.scope, other.scope)
        if where is Relation.APART or (where is Relation.NESTED and (one.deviates or other.deviates)):
            return None
        for kind, family in self._found(one, other):
            known = self.vocabulary.families.get(family)
            severity = known.severity if known else Severity.MEDIUM
            if where is Relation.NESTED:
                severity = Severity(max(Severity.LOW, severity - 1))
            return Contradiction(kind, family, CONFIDENCE[kind], severity)
        return None

    def _stated(self, subject: str, choice: str, scope: str) -> Stated:
        stems = tuple(each for each in stems_of(subject) if each not in {"the", "of", "for", "a"})
        families = self.vocabulary.subjects(stems)
        statements = tuple(statements_of(choice, self.vocabulary, subjects=families))
        return Stated(stems, families, statements, scope, not cues.EXCEPTION.isdisjoint(stems_of(choice)))

    def _found(self, one: Stated, other: Stated) -> Iterator[tuple[Kind, str]]:
        for family in self._exclusive(one, other):
            yield Kind.EXCLUSIVE_CHOICES, family
        for first, second in ((one, other), (other, one)):
            for family in self._rejected(first, second):
                yield Kind.CHOSEN_AND_REJECTED, family
        if not _related(one, other):
            return
        shared = set(one.subject) | set(other.subject)
        if any(_differ(first, second, shared) for first, second in _both(one, other)):
            yield Kind.DIFFERENT_VALUES, ""
        if any(_opposed(first, second, shared) for first, second in _both(one, other)):
            yield Kind.DONE_AND_NOT_DONE, ""
        if any(self._means_differ(first, second, shared) for first, second in _both(one, other)):
            yield Kind.DIFFERENT_MEANS, ""
        if self._answers_differ(one, other, shared) or self._purpose_is_shared(one, other, shared):
            yield Kind.DIFFERENT_ANSWERS, ""

    def _exclusive(self, one: Stated, other: Stated) -> Iterator[str]:
        """Give each family of which the two choose options that exclude each other."""
        for family in sorted(_chosen_families(one) & _chosen_families(other)):
            if not _about(family, one, other):
                continue
            own = self.vocabulary.option_names(family)  # `public` is an area, and in one family the choice itself
            first, second = _chosen(one, family, own), _chosen(other, family, own)
            pairs = [
                (mine, its)
                for mine, my_areas in first
                for its, its_areas in second
                if _meet(my_areas, its_areas, one.subject + other.subject)
            ]
            if pairs and all(self.vocabulary.excludes(mine, its) for mine, its in pairs):
                yield family

    def _rejected(self, chooses: Stated, rejects: Stated) -> Iterator[str]:
        kept = {meaning for each in rejects.statements if each.claims for meaning in each.meanings}
        for chosen in (each for each in chooses.statements if each.claims):
            for rejected in (each for each in rejects.statements if not each.claims):
                if not _meet(chosen.areas, rejected.areas, chooses.subject + rejects.subject):
                    continue
                if rejected.quantities:
                    continue  # a version of it is rejected
                for mine in sorted(chosen.meanings - kept):
                    if _about(mine.family, chooses, rejects) and any(
                        self.vocabulary.rejects(its, mine) and self._is_whole(rejected, its)
                        for its in rejected.meanings
                    ):
                        yield mine.family

    def _is_whole(self, rejected: Statement, meaning: Meaning) -> bool:
        """Tell whether it is the option that is rejected, and not something about it."""
        return len(rejected.content - self.vocabulary.names(meaning.family) - rejected.areas) <= 1

    def _means_differ(self, first: Statement, second: Statement, shared: set[str]) -> bool:
        """Tell whether one thing is done by different means, or in different places."""
        if not (first.claims and second.claims and first.act and second.act):
            return False
        if first.act - shared != second.act - shared and first.act != second.act:
            return False
        mine, its = first.complement - first.act, second.complement - second.act
        return bool(mine and its) and not (mine <= its or its <= mine) and not self._agree(first, second)

    def _answers_differ(self, one: Stated, other: Stated, shared: set[str]) -> bool:
        """Tell whether both only name something, and not the same."""
        if one.subject != other.subject or len(one.statements) != 1 or len(other.statements) != 1:
            return False
        (first,), (second,) = one.statements, other.statements
        if not (first.claims and second.claims) or self._agree(first, second):
            return False
        if not cues.SLOTS.isdisjoint(one.subject):
            names, most = first.is_name and second.is_name, _MOST_NAMED
        else:
            names, most = first.is_bare and second.is_bare, _FEW_NAMED
        if not names:
            return False
        mine, its = first.content - shared, second.content - shared
        if not (0 < len(mine) <= most and 0 < len(its) <= most) or not _meet(first.areas, second.areas, one.subject):
            return False
        return mine.isdisjoint(its)

    def _purpose_is_shared(self, one: Stated, other: Stated, shared: set[str]) -> bool:
        """Tell whether both take something for one purpose, and not the same."""
        return one.subject == other.subject and any(
            first.claims
            and second.claims
            and first.takes
            and second.takes
            and first.areas == second.areas
            and bool(first.areas)
            and _are_few_and_apart(first.content - first.areas - shared, second.content - second.areas - shared)
            and not self._agree(first, second)
            for first, second in _both(one, other)
        )

    def _agree(self, first: Statement, second: Statement) -> bool:
        """Tell whether both name an option that they may both mean."""
        return any(
            mine.family == its.family and not self.vocabulary.excludes(mine, its)
            for mine in first.meanings
            for its in second.meanings
        )


def _are_few_and_apart(mine: frozenset[str], its: frozenset[str]) -> bool:
    return 0 < len(mine) <= _MOST_NAMED and 0 < len(its) <= _MOST_NAMED and mine.isdisjoint(its)


def _related(one: Stated, other: Stated) -> bool:
    """Tell whether two subjects may be one."""
    if not one.subject or not other.subject or one.families & other.families:
        return True
    return not set(one.subject).isdisjoint(other.subject)


def _about(family: str, one: Stated, other: Stated) -> bool:
    """Tell whether both decisions may be about this family."""
    fits = all(family in each.families or not each.families for each in (one, other))
    return fits or (_related(one, other) and set(one.subject) == set(other.subject))


def _both(one: Stated, other: Stated) -> Iterator[tuple[Statement, Statement]]:
    return ((first, second) for first in one.statements for second in other.statements)


def _chosen_families(stated: Stated) -> set[str]:
    return {meaning.family for each in stated.statements if each.claims for meaning in each.meanings}


def _chosen(stated: Stated, family: str, own: frozenset[str]) -> list[tuple[Meaning, frozenset[str]]]:
    return [
        (meaning, each.areas - own)
        for each in stated.statements
        if each.claims
        for meaning in sorted(each.meanings)
        if meaning.family == family and meaning.option != ANY
    ]


def _meet(mine: frozenset[str], its: frozenset[str], subject: tuple[str, ...]) -> bool:
    """Tell whether two areas may be one: the one says no more than the other, but for the subject's words."""
    first, second = mine - set(subject), its - set(subject)
    return first <= second or second <= first


def _differ(first: Statement, second: Statement, shared: set[str]) -> bool:
    """Tell whether both give one thing different values."""
    if not (first.claims and second.claims) or len(first.quantities) != 1 or len(second.quantities) != 1:
        return False
    mine, its = first.content - shared, second.content - shared
    if not (mine <= its or its <= mine):
        return False
    return first.quantities[0].excludes(second.quantities[0])


def _opposed(first: Statement, second: Statement, shared: set[str]) -> bool:
    """Tell whether what the one denies is all that the other claims, or less."""
    if first.claims == second.claims:
        return False
    claimed, denied = (first, second) if first.claims else (second, first)
    if denied.quantities and denied.quantities != claimed.quantities:
        return False
    if not denied.content or not denied.content <= claimed.content | shared:
        return False
    return not (denied.content & claimed.content).isdisjoint(claimed.content)
