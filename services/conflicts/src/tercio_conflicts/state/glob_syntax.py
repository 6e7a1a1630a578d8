r"""Reads path globs: text in, alternatives of tokens out.

A pattern is anchored at the top of its scope and matches whole paths, letter for letter:

    *        any part of one segment, a leading dot included
    ?        one character
    [a-z]    one character of a set; [!a-z] and [^a-z] one that is not in it. A leading ] is itself
    **       as a whole segment: any number of segments, none included; at the end of a pattern at least one
    {a,b}    either, also nested and over several segments
    \*       the character itself
    a/       the same as a/**: what is in the directory

A path is `a/b/c`: no segment is empty, `.` or `..`. What can match no path is refused, not ignored.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple, TypeAlias

MAX_LENGTH: Final = 512
"""Characters of a pattern. Deeper paths than that are hardly found in repositories."""
MAX_ALTERNATIVES: Final = 32
"""That braces stand for."""
MAX_TOKENS: Final = 1024
"""Of all alternatives together; an intersection takes that many steps at most."""
MAX_SETS: Final = 8
"""Different bracket expressions of a pattern: each character of another pattern may have to be looked up in each."""
MAX_RANGES: Final = 64
"""Of a bracket expression."""


class BadPatternError(ValueError):
    """A pattern that cannot be understood, matches nothing, or is too large; the message says which and why."""


class Wild(Enum):
    """What stands for any number of characters."""

    STAR = "*"
    """Any number of characters of a segment, none included."""
    DIRECTORIES = "**/"
    """Any number of whole segments, each with its slash."""


CharSet: TypeAlias = tuple[tuple[int, int], ...]
"""Ranges of code points, in order, apart from each other, both ends included."""
Token: TypeAlias = str | CharSet | Wild
"""A literal character, one of a set, or any number of them."""

ALPHABET: Final[CharSet] = ((1, 0x2E), (0x30, 0xD7FF), (0xE000, 0x10FFFF))
"""What a segment may hold: anything but NUL and slash. Surrogates are no characters."""
SLASH: Final = "/"
_DOT: Final = "."
_SPECIAL: Final = frozenset("*?[]{},\\")
_ANY_SEGMENTS: Final = ["*", "*"]


class Alternative(NamedTuple):
    """One of the patterns that braces stand for."""

    tokens: tuple[Token, ...]
    prefix: tuple[str, ...]
    """The leading segments without any wildcard."""
    is_literal: bool


def escaped(path: str) -> str:
    """Return the pattern that matches this path alone."""
    return "".join("\\" + each if each in _SPECIAL else each for each in path)


def read(pattern: str) -> tuple[Alternative, ...]:
    """Return the alternatives of a pattern.

    Raises:
        BadPatternError: it says what is wrong.
    """
    if not pattern or len(pattern) > MAX_LENGTH:
        message = f"a pattern has 1 to {MAX_LENGTH} characters, not {len(pattern)}"
        raise BadPatternError(message)
    if "\0" in pattern:
        message = "a pattern has no NUL character"
        raise BadPatternError(message)
    alternatives = [each for text in _expand(pattern) for each in _read_alternative(text)]
    if len(alternatives) > MAX_ALTERNATIVES or sum(len(each.tokens) for each in alternatives) > MAX_TOKENS:
        message = (
            f"a pattern stands for at most {MAX_ALTERNATIVES} alternatives with {MAX_TOKENS} characters in all; "
            "a segment of two wildcards such as ?? counts twice"
        )
        raise BadPatternError(message)
    sets = {token for each in alternatives for token in each.tokens if isinstance(token, tuple) and token != ALPHABET}
    if len(sets) > MAX_SETS:
        message = f"a pattern has at most {MAX_SETS} different bracket expressions"
        raise BadPatternError(message)
    return tuple(alternatives)


def segments(path: str) -> list[str]:
    """Return the segments of a path or pattern text.

    Raises:
        BadPatternError: it is not relative to the top, or not in its shortest form.
    """
    parts = path.split("/")
    if not parts[0]:
        message = "it is relative to the top, so it begins with no slash"
        raise BadPatternError(message)
    for part in parts:
        if part in {"", ".", ".."}:
            message = f"no segment is empty, '.' or '..': {path!r}"
            raise BadPatternError(message)
    return parts


# ---- braces


def _expand(text: str) -> list[str]:
    """Return the texts without braces for which a text with braces stands."""
    found, end = _expand_until(text, 0, "")
    if end < len(text):
        message = f"there is no brace to close at character {end + 1}; the character itself is \\{text[end]}"
        raise BadPatternError(message)
    return found


def _expand_until(text: str, at: int, ends: str) -> tuple[list[str], int]:
    """Expand from a position to one of the characters that end it, or to the end of the text."""
    found = [""]
    while at < len(text) and text[at] not in ends and text[at] != "}":
        if text[at] == "{":
            choices, at = _choices(text, at)
        else:
            after = _after_unit(text, at)
            choices, at = [text[at:after]], after
        found = [head + tail for head in found for tail in choices]
        if len(found) > MAX_ALTERNATIVES:
            message = f"braces stand for at most {MAX_ALTERNATIVES} alternatives"
            raise BadPatternError(message)
    return found, at


def _choices(text: str, at: int) -> tuple[list[str], int]:
    """Return what the brace at this position stands for, and the position after it."""
    choices: list[str] = []
    opened, members = at, 0
    while at < len(text) and text[at] != "}":
        found, at = _expand_until(text, at + 1, ",")
        choices += found
        members += 1
    if at >= len(text) or members < 2:
        message = f"the brace at character {opened + 1} holds no list such as {{a,b}}; the character itself is \\{{"
        raise BadPatternError(message)
    return choices, at + 1


def _after_unit(text: str, at: int) -> int:
    """Return the position after a character, an escaped one or a bracket expression."""
    if text[at] == "\\":
        if at + 1 == len(text) or text[at + 1] == "/":
            message = "a backslash stands before the character that it makes ordinary, which is no slash"
            raise BadPatternError(message)
        return at + 2
    if text[at] != "[":
        return at + 1
    first = at + 2 if text[at + 1 : at + 2] in {"!", "^"} else at + 1
    end = first
    while end < len(text) and (text[end] != "]" or end == first):
        end += 2 if text[end] == "\\" else 1
    if end >= len(text):
        message = f"the bracket at character {at + 1} is not closed; the character itself is \\["
        raise BadPatternError(message)
    return end + 1


# ---- segments and tokens


def _read_alternative(text: str) -> list[Alternative]:
    """Read a text without braces; it is several when its segments have several readings."""
    parts = [_units(part) for part in _split(text)]
    if parts[-1] in ([], _ANY_SEGMENTS):
        parts[-1:] = [_ANY_SEGMENTS, ["*"]]
    readings: list[list[Token]] = [[]]
    for number, part in enumerate(parts):
        if part == _ANY_SEGMENTS == parts[number - 1] and number:
            continue
        is_last = number == len(parts) - 1
        readings = [head + tail for head in readings for tail in _readings_of(part, is_last=is_last)]
        if len(readings) > MAX_ALTERNATIVES:
            message = f"a pattern stands for at most {MAX_ALTERNATIVES} alternatives; a segment such as ?? counts twice"
            raise BadPatternError(message)
    return [_alternative(reading) for reading in readings]


def _split(text: str) -> list[str]:
    """Split at slashes, of which none is within brackets."""
    parts, begin, at = [], 0, 0
    while at < len(text):
        after = _after_unit(text, at)
        if text[at] == "[" and "/" in text[at:after]:
            message = "a bracket expression holds no slash"
            raise BadPatternError(message)
        if text[at] == "/":
            parts.append(text[begin:at])
            begin = after
        at = after
    parts.append(text[begin:])
    segments("/".join(parts[:-1] if not parts[-1] and len(parts) > 1 else parts))
    return parts


def _units(part: str) -> list[str]:
    """Split a segment into its characters, escaped characters and bracket expressions."""
    found, at = [], 0
    while at < len(part):
        after = _after_unit(part, at)
        found.append(part[at:after])
        at = after
    return found


def _readings_of(units: list[str], *, is_last: bool) -> list[list[Token]]:
    if units == _ANY_SEGMENTS:
        return [[Wild.DIRECTORIES]]
    tokens: list[Token] = []
    for unit in units:
        token = _token(unit)
        if token is not Wild.STAR or tokens[-1:] != [Wild.STAR]:
            tokens.append(token)
    ending: list[Token] = [] if is_last else [SLASH]
    return [reading + ending for reading in _without_dots(tokens)]


def _token(unit: str) -> Token:
    if unit == "*":
        return Wild.STAR
    if unit == "?":
        return ALPHABET
    if unit[0] == "[" and len(unit) > 1:
        return _char_set(unit)
    return unit[-1]


def _without_dots(tokens: list[Token]) -> list[list[Token]]:
    """Return readings of a segment that together match the same, except for `.` and `..`.

    Two patterns with stars that match a common text match infinitely many, so only what is one or two characters long
    can match these two alone.
    """
    if Wild.STAR in tokens or len(tokens) > 2 or not all(_may_be_dot(token) for token in tokens):
        return [tokens]
    found = [
        [*tokens[:at], without, *tokens[at + 1 :]]
        for at, token in enumerate(tokens)
        if isinstance(token, tuple) and (without := _minus_dot(token))
    ]
    if not found:
        message = "no segment of a path is '.' or '..'"
        raise BadPatternError(message)
    return found


def _may_be_dot(token: Token) -> bool:
    return token == _DOT or (isinstance(token, tuple) and any(low <= ord(_DOT) <= high for low, high in token))


def _alternative(tokens: list[Token]) -> Alternative:
    wild = next((at for at, token in enumerate(tokens) if not isinstance(token, str)), len(tokens))
    literal = "".join(token for token in tokens[:wild] if isinstance(token, str))
    parts = literal.split("/")
    is_literal = wild == len(tokens)
    return Alternative(tuple(tokens), tuple(parts if is_literal else parts[:-1]), is_literal)


# ---- sets of characters


def _char_set(unit: str) -> CharSet:
    inner = unit[1:-1]
    is_negated = inner[0] in "!^"
    if "[:" in inner:
        message = f"classes by name are not known, use a range such as a-z: {unit}"
        raise BadPatternError(message)
    ranges = _ranges(inner[1:] if is_negated else inner, unit)
    inside = _both(_merged(ranges), ALPHABET)
    found = _both(_gaps(inside), ALPHABET) if is_negated else inside
    if not found:
        message = f"no character is in {unit}"
        raise BadPatternError(message)
    return found


def _ranges(inner: str, unit: str) -> list[tuple[int, int]]:
    letters = [each[-1] for each in _letters(inner)]
    is_dash = [each == "-" for each in _letters(inner)]
    found, at = [], 0
    while at < len(letters):
        is_range = at + 2 < len(letters) and is_dash[at + 1]
        low, high = ord(letters[at]), ord(letters[at + 2] if is_range else letters[at])
        if low > high:
            message = f"a range goes from the lower to the higher character: {unit}"
            raise BadPatternError(message)
        found.append((low, high))
        at += 3 if is_range else 1
    if len(found) > MAX_RANGES:
        message = f"a bracket expression has at most {MAX_RANGES} characters and ranges"
        raise BadPatternError(message)
    return found


def _letters(inner: str) -> list[str]:
    """Split into characters and escaped characters."""
    found, at = [], 0
    while at < len(inner):
        width = 2 if inner[at] == "\\" else 1
        found.append(inner[at : at + width])
        at += width
    return found


def _merged(ranges: list[tuple[int, int]]) -> CharSet:
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def _gaps(ranges: CharSet) -> CharSet:
    """Return what lies between the ranges and around them."""
    lows = [0, *(high + 1 for _, high in ranges)]
    highs = [*(low - 1 for low, _ in ranges), ALPHABET[-1][1]]
    return tuple((low, high) for low, high in zip(lows, highs, strict=True) if low <= high)


def _both(one: CharSet, other: CharSet) -> CharSet:
    found = [
        (max(low, other_low), min(high, other_high))
        for low, high in one
        for other_low, other_high in other
        if max(low, other_low) <= min(high, other_high)
    ]
    return tuple(found)


def _minus_dot(chars: CharSet) -> CharSet:
    return _both(chars, ((1, ord(_DOT) - 1), (ord(_DOT) + 1, ALPHABET[-1][1])))
