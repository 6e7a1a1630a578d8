"""Whether decisions contradict each other: measured on labelled pairs, and by example."""

from __future__ import annotations

import string
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercio_conflicts.families import family_of, packaged_families
from tercio_conflicts.state.contradictions.comparison import Comparison, Contradiction, Kind
from tercio_conflicts.state.contradictions.vocabulary import Vocabulary, merged
from tercio_conflicts.state.severity import Severity
from unit.conflicts.decision_pairs import HALVES, Pair, pairs, unprepared_pairs

COMPARISON = Comparison(Vocabulary(packaged_families()))


def judged(first: tuple[str, str, str], second: tuple[str, str, str]) -> Contradiction | None:
    return COMPARISON.contradiction(COMPARISON.stated(*first), COMPARISON.stated(*second))


def measured(judged_pairs: list[Pair]) -> tuple[float, float]:
    """Return precision and recall."""
    found = [pair for pair in judged_pairs if judged(pair.first, pair.second) is not None]
    right = sum(pair.contradicts for pair in found)
    return right / len(found), right / sum(pair.contradicts for pair in judged_pairs)


def test_there_are_enough_pairs_of_both_labels_in_both_halves() -> None:
    assert len(pairs()) >= 200
    for half in HALVES:
        labels = [pair.contradicts for pair in pairs(half)]
        assert labels.count(True) > 60
        assert labels.count(False) > 60


@pytest.mark.parametrize("half", HALVES)
def test_precision_and_recall_are_at_least_nine_tenths(half: str, capsys: pytest.CaptureFixture[str]) -> None:
    precision, recall = measured(pairs(half))
    with capsys.disabled():
        sys.stdout.write(f"\n{half}: precision {precision:.3f}, recall {recall:.3f} on {len(pairs(half))} pairs\n")
    assert precision >= 0.9
    assert recall >= 0.9


def test_of_what_nobody_prepared_for_some_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    found = [judged(*pair) is not None for pair in unprepared_pairs()]
    with capsys.disabled():
        sys.stdout.write(f"\nin words that nothing was prepared for: {sum(found)} of {len(found)} are found\n")
    assert sum(found) >= len(found) / 2


def test_the_order_of_two_decisions_does_not_matter() -> None:
    for pair in pairs():
        assert (judged(pair.first, pair.second) is None) == (judged(pair.second, pair.first) is None), pair


def test_no_decision_contradicts_itself() -> None:
    for pair in pairs():
        for text in (pair.first, pair.second):
            assert judged(text, text) is None, text


@pytest.mark.parametrize(
    ("first", "second", "kind", "severity"),
    [
        pytest.param("use_microservices", "use_monolith", Kind.EXCLUSIVE_CHOICES, Severity.CRITICAL, id="architecture"),
        pytest.param("Format with Black", "Avoid Black", Kind.CHOSEN_AND_REJECTED, Severity.LOW, id="formatter"),
        pytest.param("Time out after 5 s", "Time out after 9 s", Kind.DIFFERENT_VALUES, Severity.MEDIUM, id="value"),
        pytest.param("Retry uploads", "Never retry uploads", Kind.DONE_AND_NOT_DONE, Severity.MEDIUM, id="denial"),
        pytest.param("Sign it with quill", "Sign it with feather", Kind.DIFFERENT_MEANS, Severity.MEDIUM, id="means"),
    ],
)
def test_a_contradiction_is_classified(first: str, second: str, kind: Kind, severity: Severity) -> None:
    found = judged(("", first, "x"), ("", second, "x"))
    assert found is not None
    assert (found.kind, found.severity) == (kind, severity)


def test_an_answer_that_nobody_has_heard_of_is_compared_when_the_subject_has_one_answer() -> None:
    found = judged(("crew framework", "Use Zorblax", "x"), ("crew framework", "Use Quuxly", "x"))
    assert found is not None
    assert found.kind is Kind.DIFFERENT_ANSWERS


def test_a_contradiction_between_nested_scopes_is_one_degree_less_severe() -> None:
    found = judged(("database", "use mysql", "services/**"), ("database", "use postgres", "services/a"))
    assert found is not None
    assert found.severity is Severity.HIGH


def test_an_inner_scope_that_calls_itself_an_exception_contradicts_nothing() -> None:
    assert judged(("database", "use mysql", "a/**"), ("database", "as an exception, use sqlite", "a/b")) is None


def test_families_are_extended_by_data() -> None:
    more = family_of("telescope", {"subjects": ["optics"], "options": {"refractor": ["lens"], "reflector": ["mirror"]}})
    again = family_of("telescope", {"options": {"radio": ["dish"]}, "severity": "high"})
    comparison = Comparison(Vocabulary(merged([*packaged_families(), more, again])))
    one = comparison.stated("optics", "build on a mirror", "x")
    other = comparison.stated("optics", "go for the dish", "x")
    found = comparison.contradiction(one, other)
    assert found is not None
    assert (found.family, found.severity) == ("telescope", Severity.HIGH)


@given(st.lists(st.text(string.printable, max_size=200), min_size=6, max_size=6))
def test_any_text_is_judged_and_the_same_twice(texts: list[str]) -> None:
    first, second = (texts[0], texts[1], texts[2]), (texts[3], texts[4], texts[5])
    assert judged(first, second) == judged(first, second)
    assert (judged(first, second) is None) == (judged(second, first) is None)


@pytest.mark.parametrize("text", ["use " * 5_000, "not " * 5_000, "a/" * 5_000, "from to " * 5_000, "1" * 10_000])
def test_a_long_text_is_judged_in_bounded_time(text: str) -> None:
    assert judged((text[:256], text, "x"), ("database", "use postgres", "x")) is None


def test_globs_that_share_no_path_are_apart() -> None:
    assert judged(("style", "tabs", "**/*.py"), ("style", "spaces", "**/*.go")) is None
    assert judged(("style", "tabs", "**/*.py"), ("style", "spaces", "src/**/io.py")) is not None
