"""Makes the host's `Call` from what arrived: who asks, under which request id, how old the request is."""

from __future__ import annotations

import hashlib
from typing import Any

import grpc
from google.protobuf.message import Message

from tercio_common.machine.calls import Call
from tercio_common.rpc import incoming, metadata, principal
from tercio_common.rpc.violations import MAX_TEXT, Violations


def call_of(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Call:
    """Return the call for a unary request.

    A request without a `request_id` has no digest: a retry of it may have a second effect.

    Raises:
        Refusal: INVALID_ARGUMENT for a malformed request id or age, UNAUTHENTICATED.
    """
    request_id: str = getattr(request, "request_id", "")
    found = Violations()
    found.check_length("request_id", request_id, most=MAX_TEXT)
    age_ms = _age_ms(metadata.text_values(context.invocation_metadata()), found)
    found.raise_if_any()
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest() if request_id else b""
    current = incoming.current()
    return Call(principal.current(), current.method.path, request_id, digest, age_ms, peer=current.peer)


def call_of_frame(*, session_id: str, frame_number: int) -> Call:
    """Return the call for one frame of the current stream."""
    current = incoming.current()
    return Call(
        principal.current(),
        current.method.path,
        session_id=session_id,
        frame_number=frame_number,
        peer=current.peer,
    )


def _age_ms(values: dict[str, str], found: Violations) -> int:
    text = values.get(metadata.AGE, "0")
    well_formed = text.isascii() and text.isdigit() and len(text) <= 15
    found.check(f"metadata {metadata.AGE}", well_formed, "must be a number of milliseconds")
    return int(text) if well_formed else 0
