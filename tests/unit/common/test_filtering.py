"""The filter language of AIP-160: what is selected, and how what is wrong is told."""

from __future__ import annotations

from typing import Any

import pytest

from tercio_common.filtering.fields import Field, Kind
from tercio_common.filtering.grammar import MAX_CHARACTERS, MAX_COMPARISONS, MAX_DEPTH, FilterError
from tercio_common.filtering.predicates import compile_filter

FIELDS: dict[str, Field[dict[str, Any]]] = {
    "id": Field(Kind.TEXT, lambda subject: subject["id"]),
    "level": Field(Kind.NUMBER, lambda subject: subject["levels"], keyed=True),
    "count": Field(Kind.NUMBER, lambda subject: subject["count"]),
    "cordoned": Field(Kind.BOOL, lambda subject: subject["cordoned"]),
    "state": Field(Kind.NAME, lambda subject: subject["state"], names={"UP": 1, "DOWN": 2}),
    "time": Field(Kind.TIME, lambda subject: subject["time"]),
    "absent": Field(Kind.NUMBER, lambda _subject: None),
}
SUBJECT = {
    "id": "build-1",
    "levels": {"python": 3, "a.b": 1, "NOT": 2},
    "count": -1.5,
    "cordoned": False,
    "state": 1,
    "time": 1_700_000_000_000,
}


def selects(text: str) -> bool:
    return compile_filter(text, FIELDS).matches(SUBJECT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "id = build-1",
        "id = 'build-*'",
        "id = *-1",
        'id = "*uild*"',
        "id:uild",
        "id != b",
        r'id != "say \"x\""',
        "level.python >= 3",
        "level:python",
        'level."a.b" = 1.0',
        'level."NOT" = 2',
        "count < -1 AND count > -2",
        "cordoned = false state = UP",
        "NOT cordoned = true",
        "-cordoned = true",
        "state = DOWN OR state = UP",
        "state = UP AND state = DOWN OR id = build-1",
        "(state = DOWN AND id = x) OR NOT (id = x)",
        'time > "2023-11-14T00:00:00Z"',
        'time < "2023-11-15T00:00:00+01:00"',
    ],
)
def test_a_subject_that_matches_is_selected(text: str) -> None:
    assert selects(text)


@pytest.mark.parametrize(
    "text",
    [
        "id = build",
        "id = 'uild-*'",
        "id != build-*",
        "level.python > 3",
        "level:rust",
        "level.rust != 3",
        "absent != 3",
        "absent < 3",
        "state != UP",
        "cordoned = true OR state = DOWN",
        "id = build-1 -state = UP",
    ],
)
def test_a_subject_that_does_not_match_is_not_selected(text: str) -> None:
    assert not selects(text)


def test_or_binds_tighter_than_and() -> None:
    assert not selects("state = DOWN AND id = x OR id = build-1")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("id", "ends too early; expected a comparator"),
        ("(id = x", "ends too early"),
        ("id == x", "at character 5: '= x' is not expected here; expected a value or text in quotes"),
        ("id = x)", "at character 7: ')' is not expected here"),
        ("id = x AND", "ends too early; expected a field"),
        ("id = 'x", 'at character 6: "\'x" is not expected here'),
        ("$", "at character 1: '$' is not expected here; expected a field"),
        ("id = x AND wrong = 1", "at character 12: there is no field 'wrong'; there are id, level,"),
        ("level = 3", "at character 1: level has keys: compare level.key, or ask for one with level:key"),
        ("level.a.b = 3", "'level.a.b' is no field; a key with a dot in it is put in quotes"),
        ("id.x = 3", "'id.x' is no field"),
        ("id > x", "id is compared with = != :, not with >"),
        ("level:python level.python:3", "at character 14: level is compared with = != < <= > >=, not with :"),
        ("cordoned = yes", "cordoned is true or false, not 'yes'"),
        ("state = up", "state is one of UP, DOWN, not 'up'"),
        ("count = many", "count is compared with a number, not with 'many'"),
        ("time > 2023", "time is compared with a time"),
        ('time > "2023-11-14T00:00:00"', "time is compared with a time"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, why: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter(text, FIELDS)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("fits", "over"),
    [
        ("id = " + "x" * (MAX_CHARACTERS - 5), "id = " + "x" * (MAX_CHARACTERS - 4)),
        ("id=x " * MAX_COMPARISONS, "id=x " * (MAX_COMPARISONS + 1)),
        ("(" * MAX_DEPTH + "id=x" + ")" * MAX_DEPTH, "(" * (MAX_DEPTH + 1) + "id=x" + ")" * (MAX_DEPTH + 1)),
        ("id='" + "(" * 99 + "'", "(" * 2_000),
    ],
    ids=["length", "comparisons", "depth", "parentheses in quotes"],
)
def test_its_cost_is_bounded(fits: str, over: str) -> None:
    compile_filter(fits, FIELDS)
    with pytest.raises(FilterError, match=r"at most|more than"):
        compile_filter(over, FIELDS)


def test_a_filter_knows_which_fields_it_compares_and_how_often() -> None:
    found = compile_filter("id = x OR (level.a > 3 AND id != y)", FIELDS)
    assert (found.fields, found.comparisons) == ({"id", "level"}, 3)
