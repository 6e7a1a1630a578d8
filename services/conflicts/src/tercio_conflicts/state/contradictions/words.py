"""Text as words: case, spelling, plurals and endings do not matter.

The stem is crude and wrong for some words, in the same way for a vocabulary's words and for a text's, which is all that
comparing needs. Every pattern here is linear, and a text has at most `MOST_CHARACTERS`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

MOST_CHARACTERS: Final = 2_000
PUNCTUATION: Final = frozenset(".;:,?!()\n")
_TOKEN: Final = re.compile(r"(?:(?<!\S)\.)?[^\W_]+(?:[.+'’][^\W_]+)*(?:\+\+|#)?|[.;:,?!()\n%≤≥<>=]")
_IDENTIFIER: Final = re.compile(r"(?<=[a-z]{2})(?=[A-Z])")
_SPELLING: Final = {
    "analyse": "analyze",
    "artefact": "artifact",
    "behaviour": "behavior",
    "catalogue": "catalog",
    "centre": "center",
    "colour": "color",
    "dialogue": "dialog",
    "favour": "favor",
    "grey": "gray",
    "honour": "honor",
    "licence": "license",
    "programme": "program",
}
_VOWELS: Final = frozenset("aeiouy")
_KEEPS_DOUBLE: Final = ("ll", "ss", "zz", "ff")


class Word(NamedTuple):
    """One word, or one mark of punctuation.

    Attributes:
        raw: as it was written.
        text: in lower case.
        stem: without its ending.
    """

    raw: str
    text: str
    stem: str

    @property
    def is_mark(self) -> bool:
        """Tell whether it ends a clause."""
        return self.raw in PUNCTUATION


def words_of(text: str) -> list[Word]:
    """Return the words of a text and the marks between them."""
    shown = unicodedata.normalize("NFKC", text[:MOST_CHARACTERS])
    shown = shown.replace("I/O", "IO").replace("i/o", "io").replace("_", " ").replace("-", " ")
    found: list[Word] = []
    for token in _TOKEN.findall(shown):
        for raw in _parts(token):
            lower = raw.casefold().replace("’", "'")
            found.append(Word(raw, lower, stem(lower)))
    return found


def stems_of(text: str) -> tuple[str, ...]:
    """Return the stems of a text, without punctuation."""
    return tuple(word.stem for word in words_of(text) if not word.is_mark)


@lru_cache(maxsize=8_192)
def stem(word: str) -> str:
    """Return a word in lower case without its ending."""
    word = _SPELLING.get(word, word).removesuffix("'s")
    if not word.isalpha():
        return word
    word = _singular(word.replace("isation", "ization"))
    word = _SPELLING.get(word, word)
    if word.endswith("ise") and len(word) > 5:
        word = f"{word[:-3]}ize"
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) > 2 and _VOWELS & set(rest):
            word = rest if rest.endswith(_KEEPS_DOUBLE) or rest[-1] != rest[-2] else rest[:-1]
            break
    if word.endswith("is") and len(word) > 6:
        word = f"{word[:-2]}iz"
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def _singular(word: str) -> str:
    if len(word) <= 3 or word.endswith(("ss", "us", "is")) or not word.endswith("s"):
        return word
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-2] if word.endswith(("sses", "xes", "ches", "shes", "zes")) else word[:-1]


def _parts(token: str) -> list[str]:
    """Part an identifier as `useMicroservices`, but no name as `PostgreSQL` or `gRPC`."""
    return _IDENTIFIER.split(token) if token[0].islower() and token.isalpha() else [token]
