"""Intersection of globs against the enumeration of all short paths, and by its laws."""

from __future__ import annotations

import itertools
import random
import re

from hypothesis import assume, given
from hypothesis import strategies as st

from tercio_conflicts.state.globs import BadPatternError, intersects, literal_prefix, matches, parse

_UNITS = ["a", "b", ".", "*", "?", "[!a]", "[.a]", "/", "**/", "/**", "{a,.b}"]
_PAIRS = 40_000
_PATHS = [
    text
    for size in range(1, 8)
    for text in map("".join, itertools.product("ab./", repeat=size))
    if not {"", ".", ".."} & set(text.split("/"))
]
"""Long enough for whatever two patterns of three units can share."""

_REGULAR = {"**": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]", "[!a]": "[^a/]", "{a,.b}": r"(?:a|\.b)", ".": r"\."}


def _regular(pattern: str) -> str:
    """Translate a pattern of the units above into a regular expression, by rules of its own."""
    parts = re.sub(r"/\*\*$|^\*\*$", "/**/*", pattern).lstrip("/").split("/")
    found = []
    for part in parts:
        units = re.findall(r"\{a,\.b\}|\[..?\]|\*+|.", part)
        is_any = units == ["**"]
        text = "".join(_REGULAR.get(unit if is_any or unit[0] != "*" else "*", unit) for unit in units)
        found.append(text if is_any else text + "/")
    return "".join(found)[:-1]


def _is_pattern(text: str) -> bool:
    try:
        parse(text)
    except BadPatternError:
        return False
    return True


def _patterns() -> list[str]:
    texts = {"".join(units) for size in (1, 2, 3) for units in itertools.product(_UNITS, repeat=size)}
    return sorted(text for text in texts if not text.endswith("/") and _is_pattern(text))


def _matched(pattern: str) -> int:
    fits = re.compile(_regular(pattern)).fullmatch
    return sum(1 << at for at, path in enumerate(_PATHS) if fits(path))


def test_patterns_intersect_exactly_when_some_path_is_matched_by_both(seed: int) -> None:
    chance = random.Random(seed)
    patterns = chance.sample(_patterns(), 400)
    matched = {pattern: _matched(pattern) for pattern in patterns}
    pairs = list(itertools.combinations_with_replacement(patterns, 2))
    wrong = [
        (one, other)
        for one, other in chance.sample(pairs, _PAIRS)
        if intersects(one, other) != bool(matched[one] & matched[other])
    ]
    assert wrong == []


def test_a_pattern_matches_exactly_the_paths_that_its_regular_expression_does(seed: int) -> None:
    chance = random.Random(seed)
    for pattern in chance.sample(_patterns(), 300):
        fits = re.compile(_regular(pattern)).fullmatch
        for path in chance.sample(_PATHS, 60):
            assert matches(pattern, path) == (fits(path) is not None), (pattern, path)


_UNIT = st.sampled_from(["a", "b", ".c", "*", "?", "[!a]", "[a-c]", "{a,b*}", "\\*", "é"])
_SEGMENT = st.lists(_UNIT, min_size=1, max_size=4).map("".join)
_PATTERN = st.lists(st.one_of(_SEGMENT, st.just("**")), min_size=1, max_size=5).map("/".join).filter(_is_pattern)
_PATH = st.lists(st.text("abc.é*", min_size=1, max_size=4), min_size=1, max_size=5).map("/".join).filter(_is_pattern)


@given(_PATTERN, _PATTERN)
def test_intersection_is_symmetric_and_reflexive(one: str, other: str) -> None:
    assert intersects(one, other) == intersects(other, one)
    assert intersects(one, one)
    assert intersects("**", one)


@given(_PATTERN, _PATTERN, _PATH)
def test_patterns_that_match_a_common_path_intersect(one: str, other: str, path: str) -> None:
    assert matches("**", path)
    if matches(one, path) and matches(other, path):
        assert intersects(one, other)


@given(_PATTERN, _PATTERN, st.sampled_from(["a", "x/y", "a?c"]))
def test_what_both_begin_with_decides_nothing(one: str, other: str, head: str) -> None:
    assert intersects(f"{head}/{one}", f"{head}/{other}") == intersects(one, other)


@given(_PATTERN, _PATTERN)
def test_going_below_any_directory_only_adds(one: str, other: str) -> None:
    if intersects(one, other):
        assert intersects(f"**/{one}", other)
        assert intersects(f"**/{one}", f"x/{other}")


@given(_PATTERN, _PATTERN)
def test_braces_are_either_of_their_members(one: str, other: str) -> None:
    both = "{" + one + "," + other + "}"
    assume(_is_pattern(both))
    for each in ("a", "a/*", "**/b", one):
        assert intersects(both, each) == (intersects(one, each) or intersects(other, each))


@given(_PATTERN, _PATTERN)
def test_patterns_whose_prefixes_part_do_not_meet(one: str, other: str) -> None:
    heads = zip(literal_prefix(one), literal_prefix(other), strict=False)
    if any(left != right for left, right in heads):
        assert not intersects(one, other)


@given(_PATTERN, _PATH)
def test_matching_a_path_is_meeting_it(pattern: str, path: str) -> None:
    literal = path.replace("*", "\\*")
    assert matches(pattern, path) == intersects(pattern, literal)
