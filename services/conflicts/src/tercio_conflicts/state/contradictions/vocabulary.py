"""The vocabulary: families of choices of which one scope has at most one, and the words for them.

Families are data. The package brings some, settings and operators add others, or options to those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from tercio_conflicts.state.contradictions.words import Word, stems_of
from tercio_conflicts.state.severity import Severity

ANY: Final = "*"
"""Stands for every option of a family: who rejects it rejects all."""


class Option(NamedTuple):
    """A choice and its other names; a kind stands for any of its `members`."""

    name: str
    names: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


class Family(NamedTuple):
    """Choices that exclude each other.

    Attributes:
        subjects: what a subject is called that is about it.
        general: words for any of its options.
        common_words: names that are everyday words as well.
    """

    name: str
    subjects: tuple[str, ...] = ()
    severity: Severity = Severity.MEDIUM
    options: tuple[Option, ...] = ()
    general: tuple[str, ...] = ()
    common_words: tuple[str, ...] = ()


class Meaning(NamedTuple):
    """What a phrase stands for: an option, a kind, or `ANY` of a family."""

    family: str
    option: str


class Mention(NamedTuple):
    """A phrase of a text that names options, from word `start` up to `end`."""

    start: int
    end: int
    meanings: tuple[Meaning, ...]


def merged(families: Iterable[Family]) -> tuple[Family, ...]:
    """Return families by name; of two with one name the later adds its options and its words."""
    found: dict[str, Family] = {}
    for each in families:
        before = found.get(each.name)
        found[each.name] = each if before is None else _added(before, each)
    return tuple(found.values())


def _added(before: Family, more: Family) -> Family:
    options = {option.name: option for option in before.options}
    for option in more.options:
        old = options.get(option.name, Option(option.name))
        options[option.name] = Option(option.name, old.names + option.names, old.members + option.members)
    return Family(
        name=before.name,
        subjects=before.subjects + more.subjects,
        severity=more.severity,
        options=tuple(options.values()),
        general=before.general + more.general,
        common_words=before.common_words + more.common_words,
    )


class Vocabulary:
    """Families, with an index of their phrases."""

    def __init__(self, families: Sequence[Family]) -> None:
        self.families: Mapping[str, Family] = {each.name: each for each in families}
        self._meanings: dict[tuple[str, ...], list[Meaning]] = {}
        self._subjects: dict[tuple[str, ...], set[str]] = {}
        self._members: dict[Meaning, frozenset[str]] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._option_names: dict[str, frozenset[str]] = {}
        self._common: set[tuple[str, tuple[str, ...]]] = set()
        for family in self.families.values():
            self._enter(family)
        self._longest = max(map(len, [*self._meanings, *self._subjects]), default=0)

    def subjects(self, stems: Sequence[str]) -> frozenset[str]:
        """Return the families that a subject is about."""
        found: set[str] = set()
        for start in range(len(stems)):
            for end in range(start + 1, min(len(stems), start + self._longest) + 1):
                found |= self._subjects.get(tuple(stems[start:end]), set())
        return frozenset(found)

    def mentions(self, words: Sequence[Word], *, subjects: frozenset[str]) -> list[Mention]:
        """Return what a text names, the longest phrases first come; `subjects` says what its subject is about."""
        found: list[Mention] = []
        start = 0
        while start < len(words):
            mention = self._mention(words, start, subjects)
            if mention is not None:
                found.append(mention)
            start = mention.end if mention else start + 1
        return found

    def excludes(self, one: Meaning, other: Meaning) -> bool:
        """Tell whether nobody can choose both; they are of one family."""
        return self.members(one).isdisjoint(self.members(other))

    def rejects(self, rejected: Meaning, chosen: Meaning) -> bool:
        """Tell whether who rejects the one cannot choose the other."""
        if rejected.family != chosen.family:
            return False
        return rejected.option == ANY or self.members(chosen) <= self.members(rejected)

    def members(self, meaning: Meaning) -> frozenset[str]:
        """Return the options that it stands for."""
        return self._members.get(meaning, frozenset({meaning.option}))

    def names(self, family: str) -> frozenset[str]:
        """Return every word by which the family, its subjects or its options are called."""
        return self._names[family]

    def option_names(self, family: str) -> frozenset[str]:
        """Return every word by which the family's options are called."""
        return self._option_names[family]

    def _mention(self, words: Sequence[Word], start: int, subjects: frozenset[str]) -> Mention | None:
        for end in range(min(len(words), start + self._longest), start, -1):
            phrase = tuple(word.stem for word in words[start:end])
            meanings = tuple(
                meaning
                for meaning in self._meanings.get(phrase, ())
                if meaning.family in subjects or (meaning.family, phrase) not in self._common or _is_name(words, start)
            )
            if meanings:
                return Mention(start, end, meanings)
        return None

    def _enter(self, family: Family) -> None:
        for subject in (family.name, *family.subjects):
            self._subjects.setdefault(stems_of(subject), set()).add(family.name)
        for option in family.options:
            meaning = Meaning(family.name, option.name)
            if option.members:
                self._members[meaning] = frozenset({option.name, *option.members})
            for name in (option.name, *option.names):
                self._name(stems_of(name), meaning)
        for name in family.general:
            self._name(stems_of(name), Meaning(family.name, ANY))
        options = _all_stems(name for option in family.options for name in (option.name, *option.names))
        self._option_names[family.name] = options
        self._names[family.name] = options | _all_stems((family.name, *family.subjects, *family.general))
        self._common.update((family.name, stems_of(word)) for word in family.common_words)

    def _name(self, phrase: tuple[str, ...], meaning: Meaning) -> None:
        known = self._meanings.setdefault(phrase, [])
        if meaning not in known:
            known.append(meaning)


def _all_stems(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(stem for text in texts for stem in stems_of(text))


def _is_name(words: Sequence[Word], start: int) -> bool:
    """Tell whether an everyday word is written as a name: in capitals, or with one where no sentence begins."""
    raw = words[start].raw
    if len(raw) > 1 and raw.isupper():
        return True
    begins = start == 0 or words[start - 1].raw in ".!?:;\n"
    return raw[0].isupper() and not begins
