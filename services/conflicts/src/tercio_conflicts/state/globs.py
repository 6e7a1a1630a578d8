"""Whether two path globs match a common path, exactly and in bounded time.

Each glob is a small automaton, and they meet when the product of two reaches a state in which both accept: the
textbook construction (Hopcroft, Motwani, Ullman, Introduction to Automata Theory, section 4.2.1). Public
implementations walk the product by backtracking and are exponential in the number of stars
(github.com/yashtewari/glob-intersection says so itself). Here one glob is walked token by token, while the states in
which the other can be meanwhile are the bits of one integer, as in the Shift-And matcher of Baeza-Yates and Gonnet (A
New Approach to Text Searching, 1992), whose stars are filled by the carry of one addition (Navarro and Raffinot,
Flexible Pattern Matching in Strings, section 4.2). That takes one step a token of the glob that is walked, at most
MAX_TOKENS, each some operations on an integer of as many bits.

What it rests on: positions only rise, except that a star stays where it is; every token matches some character; and two
globs with stars that meet at all meet in infinitely many paths, so the paths that do not exist (with an empty segment,
`.` or `..`) are excluded by the syntax alone. A path is held against a glob much oftener than two globs are against
each other, so that has a quicker way of its own.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tercio_conflicts.state.glob_matching import expression
from tercio_conflicts.state.glob_syntax import (
    ALPHABET,
    SLASH,
    Alternative,
    BadPatternError,
    CharSet,
    Token,
    Wild,
    escaped,
    read,
    segments,
)

__all__ = ["BadPatternError", "Glob", "escaped", "intersects", "is_literal", "literal_prefix", "matches", "parse"]

MAX_PATH: Final = 4096
"""Characters of a path, as on Linux."""
_PARSED: Final = 4096
"""Globs that are kept read, since the same few are compared over and over."""


@dataclass(frozen=True, slots=True, eq=False)
class Glob:
    """A pattern that was read: its alternatives, and all of them as one automaton.

    Bit i of a mask is position i of the automaton. An alternative takes one position a token, one more for `**`, and
    one to accept in.
    """

    alternatives: tuple[Alternative, ...]
    starts: int
    accepts: int
    letters: dict[str, int]
    """Where a literal character is, the slash included."""
    sets: dict[CharSet, int]
    """Where a set of characters is."""
    singles: int
    """Where one character other than a slash is."""
    stars: int
    forks: int
    """Before a `**`, which may be passed over."""
    loops: int
    """Within a `**`."""
    everywhere: int
    """All of them except where it accepts."""

    def closed(self, states: int) -> int:
        """Add what is reached without a character."""
        forked = states & self.forks
        states |= forked << 1 | forked << 2
        return states | (states & self.stars) << 1

    def places(self, token: str | CharSet) -> int:
        """Return where a character is read that is this one, or in this set; the slash is in none."""
        if token == ALPHABET:
            return self.singles
        if isinstance(token, str):
            code = ord(token)
            found = self.letters.get(token, 0)
            shared = [mask for chars, mask in self.sets.items() if _contains(chars, code)]
        else:
            found = 0
            shared = [mask for chars, mask in self.sets.items() if _overlap(token, chars)]
            shared += [mask for letter, mask in self.letters.items() if _contains(token, ord(letter))]
        for mask in shared:
            found |= mask
        return found

    def on_place(self, states: int, places: int) -> int:
        """Return what is reached by a character that these places read."""
        return self.closed((states & places) << 1 | states & (self.stars | self.loops))

    def on_slash(self, states: int) -> int:
        """Return what is reached by a slash."""
        looping = states & self.loops
        return self.closed((states & self.letters.get(SLASH, 0)) << 1 | looping << 1 | looping)

    def on_star(self, states: int) -> int:
        """Return what is reached by any number of characters other than a slash."""
        return _filled(states, self.singles | self.stars)

    def on_anything(self, states: int) -> int:
        """Return what is reached by any number of characters."""
        return _filled(states, self.everywhere)


@lru_cache(maxsize=_PARSED)
def parse(pattern: str) -> Glob:
    """Read a pattern.

    Raises:
        BadPatternError: it says what is wrong with it.
    """
    return _assembled(read(pattern))


def intersects(one: str, other: str) -> bool:
    """Tell whether some path is matched by both patterns.

    Raises:
        BadPatternError: one of them is no pattern.
    """
    return _meet(parse(one), parse(other))


def matches(pattern: str, path: str) -> bool:
    """Tell whether a pattern matches a path, which is taken literally.

    Raises:
        BadPatternError: it is no pattern, or no path in its shortest form, relative to the top.
    """
    if not path or len(path) > MAX_PATH or "\0" in path:
        message = f"a path has 1 to {MAX_PATH} characters, none of them NUL"
        raise BadPatternError(message)
    segments(path)
    return expression(pattern).fullmatch(path) is not None


def literal_prefix(pattern: str) -> tuple[str, ...]:
    """Return the leading segments that all that it matches begins with; of a literal pattern, all of it.

    Two patterns can only meet when the prefix of one begins with that of the other.
    """
    prefixes = [each.prefix for each in parse(pattern).alternatives]
    shortest, longest = min(prefixes), max(prefixes)
    common = next(
        (at for at, (one, other) in enumerate(zip(shortest, longest, strict=False)) if one != other),
        min(len(shortest), len(longest)),
    )
    return shortest[:common]


def is_literal(pattern: str) -> bool:
    """Tell whether a pattern matches one path alone, which its prefix is."""
    alternatives = parse(pattern).alternatives
    return len(alternatives) == 1 and alternatives[0].is_literal


def _meet(one: Glob, other: Glob) -> bool:
    if one.accepts.bit_length() > other.accepts.bit_length():
        one, other = other, one
    return any(
        _reaches(walked.tokens, other)
        for walked in one.alternatives
        if any(_comparable(walked, each) for each in other.alternatives)
    )


def _comparable(one: Alternative, other: Alternative) -> bool:
    """Tell whether the literal beginnings allow that they meet; this decides most pairs."""
    common = min(len(one.prefix), len(other.prefix))
    if one.prefix[:common] != other.prefix[:common]:
        return False
    return not (one.is_literal and other.is_literal) or one.prefix == other.prefix


def _reaches(tokens: tuple[Token, ...], other: Glob) -> bool:
    """Walk one glob, with all states in which the other can be."""
    places: dict[str | CharSet, int] = {}
    states = other.closed(other.starts)
    for token in tokens:
        if token is Wild.STAR:
            states = other.on_star(states)
        elif token is Wild.DIRECTORIES:
            states |= other.on_slash(other.on_anything(states))
        elif token == SLASH:
            states = other.on_slash(states)
        else:
            if token not in places:
                places[token] = other.places(token)
            states = other.on_place(states, places[token])
        if not states:
            return False
    return bool(states & other.accepts)


def _filled(states: int, through: int) -> int:
    """Spread each state upwards through the positions of a mask, and to the one after them."""
    return states | ((states & through) + through) ^ through


def _contains(chars: CharSet, code: int) -> bool:
    at = bisect_right(chars, (code, ALPHABET[-1][1])) - 1
    return at >= 0 and code <= chars[at][1]


def _overlap(one: CharSet, other: CharSet) -> bool:
    at = there = 0
    while at < len(one) and there < len(other):
        if one[at][1] < other[there][0]:
            at += 1
        elif other[there][1] < one[at][0]:
            there += 1
        else:
            return True
    return False


class _Masks:
    """The masks of a glob, as they are put together."""

    def __init__(self) -> None:
        self.size = self.starts = self.accepts = self.stars = self.forks = self.loops = self.singles = 0
        self.letters: dict[str, int] = {}
        self.sets: dict[CharSet, int] = {}

    def add(self, token: Token) -> None:
        bit = 1 << self.size
        if token is Wild.DIRECTORIES:
            self.forks |= bit
            self.loops |= bit << 1
            self.size += 1
        elif token is Wild.STAR:
            self.stars |= bit
        elif isinstance(token, str):
            self.letters[token] = self.letters.get(token, 0) | bit
            self.singles |= bit if token != SLASH else 0
        elif isinstance(token, tuple):
            self.sets[token] = self.sets.get(token, 0) | bit
            self.singles |= bit
        self.size += 1


def _assembled(alternatives: tuple[Alternative, ...]) -> Glob:
    masks = _Masks()
    for alternative in alternatives:
        masks.starts |= 1 << masks.size
        for token in alternative.tokens:
            masks.add(token)
        masks.accepts |= 1 << masks.size
        masks.size += 1
    return Glob(
        alternatives,
        masks.starts,
        masks.accepts,
        masks.letters,
        masks.sets,
        masks.singles,
        masks.stars,
        masks.forks,
        masks.loops,
        ((1 << masks.size) - 1) & ~masks.accepts,
    )
