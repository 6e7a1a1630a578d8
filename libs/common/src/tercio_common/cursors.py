"""Opaque cursors: where a watch resumes, and where a list goes on."""

from __future__ import annotations

import hashlib

from tercio_common.errors import Refusal
from tercio_common.ids import decode_cursor, encode_cursor

_SHARD = 0
_DIGEST_CHARACTERS = 8


def encode_seq(noun: str, seq: int) -> str:
    """Make the cursor of a watch of `noun` that has shown every record up to `seq`."""
    return encode_cursor(noun, shard=_SHARD, position=str(seq))


def decode_seq(noun: str, text: str) -> int:
    """Read the cursor of a watch of `noun`; raises CURSOR_INVALID."""
    try:
        shard, position = decode_cursor(noun, text)
        seq = int(position)
    except ValueError as error:
        raise _invalid("cursor", "list again and watch from the new cursor") from error
    if shard != _SHARD or seq < 0:
        raise _invalid("cursor", "list again and watch from the new cursor")
    return seq


def encode_page(noun: str, after: str, expression: str = "") -> str:
    """Make the token of the page of `noun` that follows `after`."""
    return encode_cursor(f"{noun}-page", shard=_SHARD, position=f"{_digest(expression)}/{after}")


def decode_page(noun: str, text: str, expression: str = "") -> str:
    """Return after what the page begins; empty for the first.

    Raises:
        Refusal: CURSOR_INVALID, also for a page of a list with another expression.
    """
    if not text:
        return ""
    try:
        shard, position = decode_cursor(f"{noun}-page", text)
        digest, after = position.split("/", 1)
    except ValueError as error:
        raise _invalid("page token", "list again from the first page") from error
    if shard != _SHARD or digest != _digest(expression):
        raise _invalid("page token", "use it with the expression that it was given for, or list from the first page")
    return after


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def _invalid(what: str, advice: str) -> Refusal:
    return Refusal("CURSOR_INVALID", f"the {what} was not made by this service for this call; {advice}")
