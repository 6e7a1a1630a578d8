"""Who asks: what the host needs to know of a call, and what the record's header keeps of it."""

from __future__ import annotations

from typing import NamedTuple

from tercio_common.epochs import Epoch


class Peer(NamedTuple):
    """The leader of another service, for which a process of the fleet calls."""

    role: str
    shard: int
    epoch: Epoch

    def outranks(self, other: Peer) -> bool:
        """Tell whether this is a later leader of the same role."""
        return self[:2] == other[:2] and self.epoch > other.epoch


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
        peer: the leader of another service that calls; None for everybody else.
    """

    principal: str
    method: str
    request_id: str = ""
    digest: bytes = b""
    age_ms: int = 0
    session_id: str = ""
    frame_number: int = 0
    peer: Peer | None = None


TIMER = Call("tercio", "timer")
"""The leader's own timers."""

EFFECT = Call("tercio", "effect")
"""The leader's own effects."""
