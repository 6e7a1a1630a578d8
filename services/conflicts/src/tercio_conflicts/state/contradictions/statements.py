"""What a decision states: the clauses of its choice that claim or deny something, and what they are about.

What is supposed, asked, remembered or quoted states nothing. A clause is parted where it turns, as at `instead of`:
each part claims or denies on its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tercio_conflicts.state.contradictions import cues
from tercio_conflicts.state.contradictions.quantities import Quantity, quantities_of
from tercio_conflicts.state.contradictions.vocabulary import Meaning, Mention, Vocabulary
from tercio_conflicts.state.contradictions.words import Word, words_of

_ENDS: Final = frozenset(".?!\n;")


class Statement(NamedTuple):
    """One thing that a decision claims, or denies.

    Attributes:
        claims: False when it denies.
        meanings: the options that it names.
        content: stems that say something.
        areas: for what it holds, as `frontend`; empty when it says nothing of that.
        act: what is done to what, when that can be done in one way only.
        complement: by what means or where.
        is_name: it only names something.
        is_bare: not even with a verb as `use`.
        takes: it takes something, with such a verb or by naming it.
    """

    claims: bool
    meanings: frozenset[Meaning]
    content: frozenset[str]
    areas: frozenset[str]
    quantities: tuple[Quantity, ...]
    act: frozenset[str]
    complement: frozenset[str]
    is_name: bool
    is_bare: bool
    takes: bool


def statements_of(choice: str, vocabulary: Vocabulary, *, subjects: frozenset[str]) -> list[Statement]:
    """Return what a choice states; `subjects` are the families that its subject is about."""
    words = words_of(choice)
    mentions = vocabulary.mentions(words, subjects=subjects)
    found: list[Statement] = []
    for start, end in _clauses(words):
        for claims, first, last in _segments(words, mentions, start, end):
            found.append(_statement(words, mentions, first, last, claims))
    return [each for each in found if each.content or each.meanings or each.quantities]


def _clauses(words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """Give the bounds of each clause that states something."""
    start, supposed = 0, False
    for index in range(len(words) + 1):
        ends = index == len(words) or words[index].is_mark
        joins = not ends and words[index].stem in cues.JOINING and not _excepts(words, index)
        if not ends and not joins:
            continue
        mark = words[index].raw if ends and index < len(words) else ""
        clause = words[start:index]
        conditional = bool(clause) and clause[0].text in {"if", "unless", "when", "once"}
        if clause and not supposed and mark != "?" and not _is_unreal(clause):
            yield start, index
        # What follows an `if` in the same sentence is supposed as well.
        supposed = (supposed or conditional) and mark not in _ENDS
        start = index + 1


def _excepts(words: Sequence[Word], index: int) -> bool:
    return index > 0 and words[index - 1].stem in cues.EVERYTHING


def _is_unreal(clause: Sequence[Word]) -> bool:
    """Tell whether a clause supposes, remembers or quotes."""
    stems = tuple(word.stem for word in clause)
    single = cues.SUPPOSING | cues.REMEMBERING | cues.QUOTING
    phrases = cues.SUPPOSING_PHRASES + cues.REMEMBERING_PHRASES + cues.QUOTING_PHRASES
    return not single.isdisjoint(stems) or any(found_at(stems, phrase) >= 0 for phrase in phrases)


def found_at(stems: Sequence[str], phrase: tuple[str, ...], start: int = 0) -> int:
    """Return where a phrase begins, -1 when it is not there."""
    for index in range(start, len(stems) - len(phrase) + 1):
        if tuple(stems[index : index + len(phrase)]) == phrase:
            return index
    return -1


def _segments(
    words: Sequence[Word], mentions: Sequence[Mention], start: int, end: int
) -> Iterator[tuple[bool, int, int]]:
    """Part a clause where it turns; give whether each part claims, and its bounds."""
    moved = _moved(words, start, end)
    if moved:
        yield from moved
        return
    turn = _turn(words, start, end)
    cut = turn[0] if turn else end
    named = {index for mention in mentions for index in range(mention.start, mention.end)}
    claims = not _denials(words, start, cut, skip=named)
    for first, last in _parallel(words, mentions, start, cut):
        yield claims, first, last
    if turn:
        yield not claims or bool(_denials(words, turn[1], end, skip=named)), turn[1], end


def _moved(words: Sequence[Word], start: int, end: int) -> list[tuple[bool, int, int]]:
    """Return the parts of `from X to Y` and `replace X with Y`."""
    stems = [word.stem for word in words[start:end]]
    if cues.MOVING.isdisjoint(stems):
        return []
    denied = bool(_denials(words, start, end, skip=set()))
    for opening, closing in (("from", "to"), ("replace", "with"), ("replace", "by"), ("swap", "for")):
        opening, closing = _stem(opening), _stem(closing)
        if opening in stems and closing in stems[stems.index(opening) + 1 :]:
            first = stems.index(opening) + 1
            last = stems.index(closing, first)
            return [(denied, start + first, start + last), (not denied, start + last + 1, end)]
    return []


def _stem(word: str) -> str:
    return words_of(word)[0].stem


def _turn(words: Sequence[Word], start: int, end: int) -> tuple[int, int] | None:
    """Return where the first turn begins and ends; something must stand before it."""
    stems = [word.stem for word in words[:end]]
    found: list[tuple[int, int]] = []
    for phrase in cues.TURNING:
        at = found_at(stems, phrase, start)
        if at < 0 or not any(word.stem not in cues.EMPTY | cues.DENYING for word in words[start:at]):
            continue
        if phrase == ("over",) and cues.PREFERRING.isdisjoint(stems[start:at]):
            continue
        if phrase == ("not",) and not _opposes(stems, at):
            continue
        found.append((at, at + len(phrase)))
    return min(found, default=None)


def _opposes(stems: Sequence[str], at: int) -> bool:
    """Tell whether a `not` denies what follows alone, and not the verb before: `X and not Y`."""
    return at > 0 and stems[at - 1] in {"and", "or"}


def _denials(words: Sequence[Word], start: int, end: int, *, skip: set[int]) -> int:
    """Return 1 when an odd number of words deny, else 0; those of a name, as `soft delete`, do not."""
    stems = [word.stem for index, word in enumerate(words[start:end], start) if index not in skip]
    count = sum(each in cues.DENYING or each in cues.NEGATED for each in stems)
    for phrase in cues.DENYING_PHRASES:
        if found_at(stems, phrase) >= 0:
            count += 1 - sum(each in cues.DENYING for each in phrase)
    for phrase in cues.CLAIMING_PHRASES:
        if found_at(stems, phrase) >= 0:
            count -= sum(each in cues.DENYING for each in phrase)
    return count % 2


def _parallel(words: Sequence[Word], mentions: Sequence[Mention], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Part `X for a and Y for b`, in which each option has an area of its own."""
    placed = False
    first = start
    for index in range(start, end):
        placed = placed or words[index].stem in cues.PLACING
        follows = any(mention.start in {index + 1, index + 2} for mention in mentions)
        if words[index].stem == "and" and placed and follows:
            yield first, index
            first, placed = index + 1, False
    yield first, end


def _statement(words: Sequence[Word], mentions: Sequence[Mention], start: int, end: int, claims: bool) -> Statement:
    inside = [mention for mention in mentions if start <= mention.start and mention.end <= end]
    named = {index for mention in inside for index in range(mention.start, mention.end)}
    quantities, counted = quantities_of(words, start, end, skip=named)
    content = [index for index in range(start, end) if _says(words[index]) and index not in counted]
    act, complement = _frame(words, content, start, end)
    is_name = _is_name(words, content, start, end)
    return Statement(
        claims=claims,
        meanings=frozenset(meaning for mention in inside for meaning in mention.meanings),
        content=frozenset(_positive(words[index].stem) for index in content),
        areas=_areas(words, start, end, skip=named | counted),
        quantities=quantities,
        act=act,
        complement=complement,
        is_name=is_name,
        is_bare=is_name and words[start].stem not in cues.ADOPTING,
        takes=is_name or words[start].stem in cues.ADOPTING,
    )


def _says(word: Word) -> bool:
    return not word.is_mark and word.stem not in cues.EMPTY and word.stem not in cues.DENYING


def _positive(stem: str) -> str:
    return cues.NEGATED.get(stem, stem)


def _areas(words: Sequence[Word], start: int, end: int, *, skip: set[int]) -> frozenset[str]:
    found: set[str] = set()
    placing = False
    for index in range(start, end):
        stem = words[index].stem
        if stem in cues.PLACING:
            placing = True
        elif stem in cues.COMPLEMENTS:
            placing = False
        elif stem in cues.AREAS or (placing and index not in skip and _says(words[index])):
            found.add(stem)
    return frozenset(found)


def _frame(
    words: Sequence[Word], content: Sequence[int], start: int, end: int
) -> tuple[frozenset[str], frozenset[str]]:
    """Return what is done to what, and where or by what means; nothing when it can be done in many ways."""
    verb = next((index for index in range(start, end) if words[index].stem in cues.SETTLING), None)
    cut = next((at for at in range(start, end) if words[at].stem in cues.COMPLEMENTS and at > start), None)
    if verb is None or cut is None or verb > cut or any(index < verb for index in content):
        return frozenset(), frozenset()
    act = {words[verb].stem, *(words[index].stem for index in content if index < cut)}
    complement = {words[index].stem for index in content if index > cut}
    return frozenset(act), frozenset(complement - cues.AREAS)


def _is_name(words: Sequence[Word], content: Sequence[int], start: int, end: int) -> bool:
    if not content or any(word.text in cues.STATING for word in words[start:end]):
        return False
    return words[content[0]].stem not in cues.ACTING and words[start].stem not in cues.ACTING
