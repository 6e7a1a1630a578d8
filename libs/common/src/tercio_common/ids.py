"""Identifiers, the sources that make them, and the opaque cursors given to clients."""

from __future__ import annotations

import base64
import binascii
import os
import random
from typing import NewType, Protocol

RequestId = NewType("RequestId", str)
SessionId = NewType("SessionId", str)
Seq = NewType("Seq", int)
"""Number of a record in its journal, from 1."""


class IdSource(Protocol):
    """Makes identifiers that nobody else makes."""

    def new(self) -> str:
        """Return 26 lower-case hexadecimal characters."""
        ...


class RandomIds:
    """Identifiers from the operating system's randomness."""

    def new(self) -> str:
        """See `IdSource`."""
        return os.urandom(13).hex()


class SeededIds:
    """Identifiers that are the same in each run, for tests."""

    def __init__(self, seed: int) -> None:
        """Start the sequence that `seed` names."""
        self._random = random.Random(seed)

    def new(self) -> str:
        """See `IdSource`."""
        return self._random.randbytes(13).hex()


def encode_cursor(kind: str, *, shard: int, position: str) -> str:
    """Make the opaque text that resumes a watch or a listing at `position`."""
    return base64.urlsafe_b64encode(f"{kind}/{shard}/{position}".encode()).decode().rstrip("=")


def decode_cursor(kind: str, text: str) -> tuple[int, str]:
    """Return shard and position of a cursor of that kind.

    Raises:
        ValueError: `text` was not made by `encode_cursor` for that kind.
    """
    try:
        found, shard, position = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split("/", 2)
        number = int(shard)
    except (ValueError, binascii.Error) as error:
        raise ValueError("malformed cursor") from error
    if found != kind:
        raise ValueError(f"a cursor of kind {found!r} was given where {kind!r} is expected")
    return number, position
