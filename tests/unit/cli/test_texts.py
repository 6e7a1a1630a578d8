"""Durations, capabilities and times as people write and read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from tercio.cli import texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("250ms", timedelta(milliseconds=250)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5s", timedelta(milliseconds=1500)),
        ("2d", timedelta(days=2)),
    ],
)
def test_a_duration_is_read(text: str, expected: timedelta) -> None:
    assert texts.parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "5", "s", "5x", "5 m", "-5s", "5m!"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="90s"):
        texts.parse_duration(text)


def test_capabilities_are_read_with_and_without_a_level() -> None:
    assert texts.parse_capabilities(["python", "gpu=50"]) == {"python": 1, "gpu": 50}


@pytest.mark.parametrize("text", ["=5", "gpu=", "gpu=0", "gpu=101", "gpu=high"])
def test_what_is_no_capability_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a capability"):
        texts.parse_capabilities([text])


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.25, "250ms"), (4.21, "4.2s"), (190, "3m10s"), (18120, "5h2m"), (3600, "1h"), (273600, "3d4h")],
)
def test_a_span_shows_the_two_units_that_matter(seconds: float, expected: str) -> None:
    assert texts.span(timedelta(seconds=seconds)) == expected


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000)))
def test_a_span_is_always_short(duration: timedelta) -> None:
    assert len(texts.span(duration)) <= 8


def test_an_unset_time_is_shown_as_such() -> None:
    assert texts.age(Timestamp()) == "-"
    assert texts.clock_time(Timestamp()) == ""


def test_an_age_is_never_negative_when_clocks_differ() -> None:
    moment = Timestamp(seconds=1_000_000_100)
    assert texts.age(moment, now=datetime.fromtimestamp(1_000_000_000, tz=UTC)) == "0ms"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ""),
        (b"hello\n", "hello"),
        (b'{"a":1}', '{"a": 1}'),
        (b"\xff\xfe", "2 bytes of binary data"),
    ],
)
def test_a_payload_is_shown_as_text_where_it_is_text(data: bytes, expected: str) -> None:
    assert texts.readable(data) == expected


def test_amounts_are_whole_numbers_by_dimension() -> None:
    assert texts.parse_amounts(["cpu_cores=2", "gpu=1"]) == {"cpu_cores": 2, "gpu": 1}


@pytest.mark.parametrize("text", ["cpu", "=2", "cpu=", "cpu=1.5", "cpu=-1"])
def test_a_wrong_amount_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="write DIMENSION=AMOUNT"):
        texts.parse_amounts([text])
