"""Values as bytes. Tercio never opens a payload or a result, so this is a convention between callers and handlers.

None                            nothing: no bytes
bytes, bytearray, memoryview    as they are
str                             UTF-8
anything else                   JSON in UTF-8, without spaces

Reading is up to the reader: `bytes`, text or JSON.
"""

from __future__ import annotations

import json
from typing import Any, Final

import grpc

from tercio.rpc.errors import InvalidRequestError

MAX_BYTES: Final = 64 * 1024
"""Longest payload, result or checkpoint."""


def encode(value: Any) -> bytes:
    """Return the value as bytes.

    Raises:
        TypeError: JSON has no form for the value.
    """
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def decode_json(data: bytes) -> Any:
    """Read JSON; no bytes are None.

    Raises:
        ValueError: the bytes are not JSON.
    """
    return json.loads(data) if data else None


def checked(value: Any) -> bytes:
    """Return the value as bytes that the scheduler will take.

    Raises:
        InvalidRequestError: it is over 64 kB.
        TypeError: JSON has no form for the value.
    """
    data = encode(value)
    if len(data) > MAX_BYTES:
        raise InvalidRequestError(
            f"the payload of {len(data)} bytes is over 64 kB: pass a reference to it instead",
            code=grpc.StatusCode.INVALID_ARGUMENT,
            reason="PAYLOAD_TOO_LARGE",
        )
    return data
