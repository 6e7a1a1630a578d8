from __future__ import annotations

import pytest

from tercio import InvalidRequestError
from tercio.payloads import checked, decode_json, encode


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        pytest.param(None, b"", id="nothing"),
        pytest.param(b"\x00\xff", b"\x00\xff", id="bytes"),
        pytest.param(bytearray(b"ab"), b"ab", id="bytearray"),
        pytest.param("größe", "größe".encode(), id="text"),
        pytest.param({"a": [1, None, "ö"]}, '{"a":[1,null,"ö"]}'.encode(), id="json"),
        pytest.param(0, b"0", id="number"),
        pytest.param(False, b"false", id="truth"),
    ],
)
def test_values_become_bytes(value: object, wanted: bytes) -> None:
    assert encode(value) == wanted


def test_no_bytes_are_none_in_json() -> None:
    assert decode_json(b"") is None
    assert decode_json(b'{"a":1}') == {"a": 1}


def test_what_json_cannot_say_is_an_error() -> None:
    with pytest.raises(TypeError):
        encode(object())


def test_64_kb_is_the_most() -> None:
    assert len(checked(b"x" * 65_536)) == 65_536
    with pytest.raises(InvalidRequestError):
        checked(b"x" * 65_537)
