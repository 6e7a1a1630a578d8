"""Events and rows as protobuf. A field that was ever written stays readable."""

from __future__ import annotations

from typing import Any, Final, cast

from tercio_common.machine.descriptions import describe
from tercio_common.machine.protocol import Description
from tercio_conflicts import claim_codec, dispute_codec
from tercio_conflicts.records.v1 import events_pb2 as records
from tercio_conflicts.state import events

_ENCODERS: Final = {**claim_codec.ENCODERS, **dispute_codec.ENCODERS}
_DECODERS: Final = {**claim_codec.DECODERS, **dispute_codec.DECODERS}
_NAMES: Final = {**claim_codec.NAMES, **dispute_codec.NAMES}
_ROW_ENCODERS: Final = {**claim_codec.ROW_ENCODERS, **dispute_codec.ROW_ENCODERS}
_ROW_DECODERS: Final = {**claim_codec.ROW_DECODERS, **dispute_codec.ROW_DECODERS}


def encode_event(event: Any) -> bytes:
    """Encode one event."""
    return _ENCODERS[type(event)](event).SerializeToString(deterministic=True)


def decode_event(data: bytes) -> events.Event:
    """Decode one event; raises ValueError for bytes that no version wrote."""
    event = records.Event.FromString(data)
    kind = event.WhichOneof("kind")
    if kind is None:
        raise ValueError("an event of a kind that this version does not know; run a newer version")
    decoded: events.Event = _DECODERS[kind](getattr(event, kind))
    return decoded


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
        if kind in _NAMES:
            return described._replace(resources=_NAMES[kind](fact))
        return described

    def encode_row(self, table: str, row: Any) -> bytes:
        return _ROW_ENCODERS[table](row).SerializeToString(deterministic=True)

    def decode_row(self, table: str, data: bytes) -> Any:
        if table in _ROW_DECODERS:
            return _ROW_DECODERS[table](data)
        raise ValueError(f"the conflicts service has no table {table!r}")
