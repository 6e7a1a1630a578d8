"""Who asks: what the host needs to know of a call, and what the record's header keeps of it."""

from __future__ import annotations

from typing import NamedTuple


class Call(NamedTuple):
    """One call, or one frame of a stream.

    Attributes:
        principal: the authenticated caller.
        method: full method name; `timer` and `effect` for the leader's own commands.
        request_id: the caller's; empty when a retry may have a second effect.
        digest: SHA-256 of the request's deterministic bytes.
        age_ms: since the request was first sent.
        session_id: the stream session of a frame; empty for other calls.
        frame_number: the frame's number in its session, from 1.
    """

    principal: str
    method: str
    request_id: str = ""
    digest: bytes = b""
    age_ms: int = 0
    session_id: str = ""
    frame_number: int = 0


TIMER = Call("tercio", "timer")
"""The leader's own timers."""

EFFECT = Call("tercio", "effect")
"""The leader's own effects."""
