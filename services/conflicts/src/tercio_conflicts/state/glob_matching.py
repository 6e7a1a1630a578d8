"""Globs as regular expressions, for the many paths that one glob is held against: some microseconds each.

A regular expression with several stars tries every way to share a text between them. None of that is needed: of a star
with more of the segment behind it the shortest reading is as good as any (so does `fnmatch`), as is the first place for
the whole segments between two `**`. Groups that do not go back say so, and the time grows with the path alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from tercio_conflicts.state.glob_syntax import SLASH, Alternative, Token, Wild, read

_KEPT = 4096
"""Globs of which the expression is kept."""
_ANY = "[^/]*"
_DIRECTORIES = "(?:[^/]+/)*"


@lru_cache(maxsize=_KEPT)
def expression(pattern: str) -> re.Pattern[str]:
    """Return what matches the same paths as a whole; raises BadPatternError."""
    return re.compile("|".join(map(_of_alternative, read(pattern))))


def _of_alternative(alternative: Alternative) -> str:
    """Return the expression of what is before the first `**`, between two of them, and behind the last one."""
    first, *others = map(_of_segments, _split(alternative.tokens, Wild.DIRECTORIES))
    if not others:
        return first
    *between, last = others
    return first + "".join(f"(?>{_DIRECTORIES}?{each})" for each in between) + _DIRECTORIES + last


def _of_segments(tokens: list[Token]) -> str:
    return SLASH.join(map(_of_segment, _split(tokens, SLASH)))


def _of_segment(tokens: list[Token]) -> str:
    """Return the expression of a segment, of which the last part is at its end."""
    first, *others = ("".join(map(_of_token, part)) for part in _split(tokens, Wild.STAR))
    if not others:
        return first
    *between, last = others
    return first + "".join(f"(?>{_ANY}?{each})" for each in between) + f"{_ANY}{last}(?=/|\\Z)"


def _of_token(token: Token) -> str:
    if isinstance(token, tuple):
        return "[" + "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in token) + "]"
    return re.escape(str(token))


def _split(tokens: Iterable[Token], at: Token) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token == at:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts
