"""Events and rows as protobuf. A field that was ever written stays readable."""

from __future__ import annotations

from typing import Any, cast

from tercio_common.machine.descriptions import describe
from tercio_common.machine.protocol import Description
from tercio_conflicts import claim_codec
from tercio_conflicts.records.v1 import events_pb2 as records
from tercio_conflicts.state import events


def encode_event(event: Any) -> bytes:
    """Encode one event."""
    return claim_codec.ENCODERS[type(event)](event).SerializeToString(deterministic=True)


def decode_event(data: bytes) -> events.Event:
    """Decode one event; raises ValueError for bytes that no version wrote."""
    event = records.Event.FromString(data)
    kind = event.WhichOneof("kind")
    if kind is None:
        raise ValueError("an event of a kind that this version does not know; run a newer version")
    return claim_codec.DECODERS[kind](getattr(event, kind))


class ConflictsCodec:
    """The `Codec` of the conflicts service."""

    def encode_event(self, event: Any) -> bytes:
        return encode_event(event)

    def decode_event(self, data: bytes) -> events.Event:
        return decode_event(data)

    def describe_event(self, data: bytes) -> Description:
        event = records.Event.FromString(data)
        kind = event.WhichOneof("kind") or ""
        described, fact = describe(event, kind), cast(Any, getattr(event, kind, None))
        if kind in claim_codec.NAMES:
            return described._replace(resources=claim_codec.NAMES[kind](fact))
        return described

    def encode_row(self, table: str, row: Any) -> bytes:
        return claim_codec.ROW_ENCODERS[table](row).SerializeToString(deterministic=True)

    def decode_row(self, table: str, data: bytes) -> Any:
        if table in claim_codec.ROW_DECODERS:
            return claim_codec.ROW_DECODERS[table](data)
        raise ValueError(f"the conflicts service has no table {table!r}")
