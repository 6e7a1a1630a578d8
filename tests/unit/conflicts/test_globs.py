"""Globs by example; tests/property/test_globs.py enumerates."""

from __future__ import annotations

import pytest

from tercio_conflicts.state.glob_syntax import MAX_TOKENS
from tercio_conflicts.state.globs import (
    BadPatternError,
    escaped,
    intersects,
    is_literal,
    literal_prefix,
    matches,
    parse,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("src/**", "src/a.py"),
        ("src/**/*.py", "src/a.py"),
        ("src/**/*.py", "**/test_*"),
        ("**", "a"),
        ("a/**/b", "a/b"),
        ("a/", "a/b/c"),
        ("*", ".git"),
        ("a*b", "ab*"),
        ("*a*b*", "b?a?"),
        ("[a-c]x", "[c-e]?"),
        ("[!a]", "[!b]"),
        ("[^a-y]", "z"),
        ("{src,tests}/**", "tests/a.py"),
        ("{a/b,c}/{x,y}", "*/b/y"),
        ("a{,.bak}", "a"),
        (r"\*.py", "?.py"),
        ("[]x]", "]"),
        ("[a-]", "-"),
        ("日本/**", "日本/*本"),
        ("a b/*", "a b/c\nd"),
        ("*?", "??"),
    ],
)
def test_patterns_that_share_a_path_intersect(one: str, other: str) -> None:
    assert intersects(one, other)
    assert intersects(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/*.py", "a/*.txt"),
        ("src/*", "src/a/b"),
        ("src/**", "src"),
        ("src/**", "source/a"),
        ("**/a/**", "a"),
        ("*/*", "a"),
        ("A", "a"),
        ("[a-c]", "[d-f]"),
        ("[!a]", "a"),
        (r"\*.py", "a.py"),
        ("{a,b}", "{c,d}"),
        ("a?", "a"),
        ("**/x/y", "**/x"),
        ("*/**/b", "b"),
    ],
)
def test_patterns_that_share_no_path_do_not(one: str, other: str) -> None:
    assert not intersects(one, other)
    assert not intersects(other, one)


@pytest.mark.parametrize(("one", "other"), [(".?", "?."), ("[.]?/a", "?[.]/a"), ("?", "[.a]/b"), ("**/.?", "**/?.")])
def test_segments_of_dots_alone_are_no_paths(one: str, other: str) -> None:
    assert not intersects(one, other)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "1 to 512 characters"),
        ("a" * 513, "1 to 512 characters"),
        ("/a", "begins with no slash"),
        ("a//b", "no segment is empty"),
        ("a/../b", "no segment is empty"),
        ("./a", "no segment is empty"),
        (r"\.", "no segment of a path"),
        ("a\0", "no NUL"),
        ("a\\", "a backslash stands before"),
        (r"a\/b", "a backslash stands before"),
        ("[a", "character 1 is not closed"),
        ("[]", "not closed"),
        ("[a/b]", "holds no slash"),
        ("[z-a]", "from the lower to the higher"),
        ("[[:alpha:]]", "by name are not known"),
        ("[\ud800]", "no character is in"),
        ("{a", "holds no list"),
        ("{a}", "holds no list"),
        ("a}", "no brace to close"),
        ("{a,b}" * 6, "at most 32 alternatives"),
        ("/".join(["??"] * 6), "at most 32 alternatives"),
        ("{" + ",".join("a" * 15 for _ in range(20)) + "}" + "x" * 100, "1024 characters in all"),
        ("".join(f"[{letter}x]" for letter in "abcdefghi"), "different bracket expressions"),
        ("[" + "ab" * 33 + "]", "characters and ranges"),
    ],
)
def test_a_bad_pattern_is_refused_with_the_reason(pattern: str, why: str) -> None:
    with pytest.raises(BadPatternError, match=why):
        parse(pattern)


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "..", "a/./b", "a\0b", "a" * 4097])
def test_a_path_that_is_not_in_its_shortest_form_is_refused(path: str) -> None:
    with pytest.raises(BadPatternError):
        matches("**", path)


def test_a_path_is_taken_literally() -> None:
    assert matches("app/**", "app/[slug]/{x}/page*.tsx")
    assert not matches("app/[[]slug]", "app/[[]slug]")


@pytest.mark.parametrize("path", ["a*b?/[x]{y,z}\\w", "plain/path.py", "ünï cödé/new\nline"])
def test_an_escaped_path_matches_itself_alone(path: str) -> None:
    assert is_literal(escaped(path))
    assert matches(escaped(path), path)
    assert literal_prefix(escaped(path)) == tuple(path.split("/"))
    assert not matches(escaped(path), path + "x")


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        ("src/a.py", ("src", "a.py")),
        ("src/**", ("src",)),
        ("src/", ("src",)),
        ("*/a", ()),
        ("src/a*/b", ("src",)),
        ("src/{a,b}/c", ("src",)),
        ("src/{a,a/b}", ("src", "a")),
        ("{src,tests}/a", ()),
    ],
)
def test_the_prefix_is_what_all_matches_begin_with(pattern: str, prefix: tuple[str, ...]) -> None:
    assert literal_prefix(pattern) == prefix


def test_no_pattern_takes_more_steps_than_the_bound() -> None:
    for pattern in ("*a" * 255, "?" * 512, "**/a/" * 102, "{" + ",".join(["*a*b"] * 30) + "}", "/".join(["??"] * 5)):
        assert sum(len(each.tokens) for each in parse(pattern).alternatives) <= MAX_TOKENS
