"""No text breaks the filter language: it is a filter or is refused, and a filter selects what its tree says."""

from __future__ import annotations

import contextlib
import operator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tercio_common.filtering.fields import Field, Kind
from tercio_common.filtering.grammar import FilterError
from tercio_common.filtering.predicates import compile_filter

FIELDS: dict[str, Field[dict[str, Any]]] = {
    "name": Field(Kind.TEXT, lambda subject: subject["name"]),
    "level": Field(Kind.NUMBER, lambda subject: subject["level"], keyed=True),
    "on": Field(Kind.BOOL, lambda subject: subject["on"]),
}
SUBJECT = {"name": "a b", "level": {"x": 5}, "on": True}
TOKENS = ("(", ")", "AND", "OR", "NOT", "-", "name", "level.x", "level", ":", "=", ">=", "<", '"a b"', "'", "5", "true")

COMPARATORS = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, ">=": operator.ge}

LEAVES = st.tuples(st.sampled_from(sorted(COMPARATORS)), st.integers(0, 9)).map(
    lambda leaf: (f"level.x {leaf[0]} {leaf[1]}", COMPARATORS[leaf[0]](5, leaf[1]))
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda one: (f"NOT ({one[0]})", not one[1])),
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]}) AND ({two[1][0]})", two[0][1] and two[1][1])),
        st.tuples(inner, inner).map(lambda two: (f"(({two[0][0]}) OR ({two[1][0]}))", two[0][1] or two[1][1])),
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]} {two[1][0]})", two[0][1] and two[1][1])),
    ),
    max_leaves=6,
)


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(TOKENS), max_size=12).map(" ".join)))
def test_any_text_is_a_filter_or_is_refused(text: str) -> None:
    with contextlib.suppress(FilterError):
        assert isinstance(compile_filter(text, FIELDS).matches(SUBJECT), bool)


@given(TREES)
def test_a_filter_selects_what_its_tree_says(tree: tuple[str, bool]) -> None:
    text, selected = tree
    assert compile_filter(text, FIELDS).matches(SUBJECT) is selected
