"""Opaque cursors: where a watch resumes, and where a list goes on.

One record may change many agents, each a message of its own. So a position counts changes within a record as well, and
a watch that is cut in the middle of a record resumes there.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from tercio_common.errors import Refusal
from tercio_common.ids import decode_cursor, encode_cursor
from tercio_registry.state.filters import AgentFilter

_WATCH = "agents"
_PAGE = "agents-page"
_SHARD = 0
_DIGEST_CHARACTERS = 8


class Position(NamedTuple):
    """Every change up to record `seq` was seen, and the first `offset` changes of the record after it."""

    seq: int
    offset: int = 0


def encode_position(position: Position) -> str:
    """Make the cursor of a watch."""
    return encode_cursor(_WATCH, shard=_SHARD, position=f"{position.seq}.{position.offset}")


def decode_position(text: str) -> Position:
    """Read the cursor of a watch.

    Raises:
        Refusal: CURSOR_INVALID.
    """
    try:
        shard, position = decode_cursor(_WATCH, text)
        seq, offset = position.split(".")
        found = Position(int(seq), int(offset))
    except ValueError as error:
        raise _invalid("cursor", "list again and watch from the new cursor") from error
    if shard != _SHARD or min(found) < 0:
        raise _invalid("cursor", "list again and watch from the new cursor")
    return found


def encode_page(after: str, selected: AgentFilter) -> str:
    """Make the token of the page that follows agent `after`; empty after the last."""
    return encode_cursor(_PAGE, shard=_SHARD, position=f"{_digest(selected)}/{after}") if after else ""


def decode_page(text: str, selected: AgentFilter) -> str:
    """Return the agent after which the page begins; empty for the first.

    Raises:
        Refusal: CURSOR_INVALID, also for a page of a list with another filter.
    """
    if not text:
        return ""
    try:
        shard, position = decode_cursor(_PAGE, text)
        digest, after = position.split("/", 1)
    except ValueError as error:
        raise _invalid("page token", "list again from the first page") from error
    if shard != _SHARD or digest != _digest(selected):
        raise _invalid("page token", "use it with the filter that it was given for, or list from the first page")
    return after


def _digest(selected: AgentFilter) -> str:
    parts = (sorted(selected.states), selected.capabilities, selected.labels, selected.agent_type)
    text = repr((*parts, selected.expression.text))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def _invalid(what: str, advice: str) -> Refusal:
    return Refusal("CURSOR_INVALID", f"the {what} was not made by this service for this call; {advice}")
