"""Everything that is wrong with a request is found in one go."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from google.protobuf.duration_pb2 import Duration

from tercio_common.errors import Refusal
from tercio_common.rpc.violations import Violations


def found(check: Callable[[Violations], object]) -> list[tuple[str, str]]:
    violations = Violations()
    check(violations)
    try:
        violations.raise_if_any()
    except Refusal as refusal:
        return [(one.field, one.description) for one in refusal.violations]
    return []


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(lambda v: v.check_length("f", "abc", least=3, most=3), id="length"),
        pytest.param(lambda v: v.check_pattern("f", "ab", re.compile("[a-z]+")), id="pattern"),
        pytest.param(lambda v: v.check_id("f", "a.b-c_9"), id="id"),
        pytest.param(lambda v: v.check_id("f", "", optional=True), id="optional id"),
        pytest.param(lambda v: v.check_range("f", 3, least=3, most=3), id="range"),
        pytest.param(lambda v: v.check_one_of("f", 1, {1, 2}), id="one of"),
        pytest.param(lambda v: v.check_duration("f", Duration(nanos=5_000_000), least_ms=5, most_ms=5), id="duration"),
        pytest.param(lambda v: v.check_capabilities("f", {"python": 1, "gpu": 100}), id="capabilities"),
        pytest.param(lambda v: v.check_labels("f", {"k": ""}), id="labels"),
    ],
)
def test_what_keeps_the_rule_is_no_violation(check: Callable[[Violations], object]) -> None:
    assert found(check) == []


@pytest.mark.parametrize(
    ("check", "description"),
    [
        pytest.param(lambda v: v.check_length("f", b"x", least=2, most=3, unit="bytes"), "2 to 3 bytes", id="length"),
        pytest.param(lambda v: v.check_pattern("f", "ab1", re.compile("[a-z]+")), "must match", id="pattern"),
        pytest.param(lambda v: v.check_id("f", ""), "must match", id="empty id"),
        pytest.param(lambda v: v.check_id("f", "a\n"), "must match", id="id with newline"),
        pytest.param(lambda v: v.check_id("f", "a" * 129), "must match", id="long id"),
        pytest.param(lambda v: v.check_range("f", 4, least=1, most=3), "1 to 3, is 4", id="range"),
        pytest.param(lambda v: v.check_range("f", float("nan"), least=1, most=3), "is nan", id="not a number"),
        pytest.param(lambda v: v.check_one_of("f", 9, {1, 2}), "9 is not a value", id="one of"),
        pytest.param(lambda v: v.check_duration("f", Duration(seconds=9), least_ms=1, most_ms=5), "5 ms", id="long"),
        pytest.param(
            lambda v: v.check_duration("f", Duration(nanos=2_000_000_000), least_ms=1, most_ms=5000),
            "nanos",
            id="nanos",
        ),
        pytest.param(
            lambda v: v.check_duration("f", Duration(seconds=1, nanos=-1), least_ms=1, most_ms=5000),
            "nanos",
            id="signs",
        ),
    ],
)
def test_what_breaks_the_rule_is_named_with_the_rule(check: Callable[[Violations], object], description: str) -> None:
    ((field, text),) = found(check)
    assert field == "f"
    assert description in text


def test_a_duration_is_returned_in_milliseconds_and_its_lower_bound_when_wrong() -> None:
    violations = Violations()
    assert violations.check_duration("f", Duration(seconds=2, nanos=500_000_000), least_ms=1, most_ms=5000) == 2500
    assert violations.check_duration("f", Duration(seconds=9), least_ms=1, most_ms=5000) == 1


def test_entries_of_maps_are_named_by_their_key() -> None:
    assert found(lambda v: v.check_capabilities("c", {"python": 101})) == [("c[python]", "must be 1 to 100, is 101")]
    assert found(lambda v: v.check_labels("l", {"k": "x" * 129}))[0][0] == "l[k]"
    assert found(lambda v: v.check_labels("l", {str(n): "" for n in range(65)}))[0][0] == "l"
    assert found(lambda v: v.check_labels("l", {"x" * 500: ""})) == [
        (f"l[{'x' * 128}…]", "must have 1 to 128 characters, has 500")
    ]


def test_the_message_tells_the_first_and_counts_the_rest() -> None:
    violations = Violations()
    violations.add("a", "is wrong")
    violations.add("b", "too")
    with pytest.raises(Refusal, match=r"INVALID_ARGUMENT: a: is wrong \(and 1 more\)"):
        violations.raise_if_any()
