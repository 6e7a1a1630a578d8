"""Records and segments as bytes.

A segment is the protobuf message `Segment`, but it is joined from records that are already encoded, so that a commit
copies bytes and parses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tercio_common.epochs import Epoch
from tercio_common.machine.calls import Call, Peer
from tercio_common.machine.protocol import Moment
from tercio_common.records.v1 import record_pb2

SCHEMA = 1
_RECORDS_TAG = b"\x0a"  # field 1 of Segment, length-delimited


_FRAMING = 6  # bytes of tag and length at most


class Encoded(NamedTuple):
    """One record, ready for a segment."""

    seq: int
    data: bytes

    @property
    def size(self) -> int:
        """Bytes that it takes in a segment, at most."""
        return len(self.data) + _FRAMING


def encode_record(at: Moment, call: Call, *, reply: bytes, events: Sequence[bytes]) -> bytes:
    """Encode what one command did."""
    record = record_pb2.Record(
        schema=SCHEMA,
        epoch_generation=at.epoch.generation,
        epoch_revision=at.epoch.revision,
        seq=at.seq,
        now_ms=at.now,
        wall_ms=at.wall,
        principal=call.principal,
        method=call.method,
        request_id=call.request_id,
        request_digest=call.digest,
        reply=reply,
        events=events,
        session_id=call.session_id,
        frame_number=call.frame_number,
    )
    if call.peer is not None:
        role, shard, (generation, revision) = call.peer
        record.peer.CopyFrom(
            record_pb2.PeerRow(role=role, shard=shard, epoch_generation=generation, epoch_revision=revision)
        )
    return record.SerializeToString()


def join_segment(records: Iterable[Encoded]) -> bytes:
    """Join encoded records into a segment."""
    parts: list[bytes] = []
    for record in records:
        parts += (_RECORDS_TAG, _varint(len(record.data)), record.data)
    return b"".join(parts)


def split_segment(value: bytes) -> Sequence[record_pb2.Record]:
    """Return the records of a segment.

    Raises:
        ValueError: a record is of a schema that this version does not know.
    """
    records = record_pb2.Segment.FromString(value).records
    for record in records:
        if record.schema != SCHEMA:
            raise ValueError(f"record {record.seq} has schema {record.schema}; this version reads {SCHEMA}")
    return records


def moment_of(record: record_pb2.Record) -> Moment:
    """Return when and by whom the record was made."""
    epoch = Epoch(record.epoch_generation, record.epoch_revision)
    return Moment(record.seq, record.now_ms, record.wall_ms, epoch, record.principal)


def call_of_record(record: record_pb2.Record) -> Call:
    """Return who asked for the record."""
    return Call(
        record.principal,
        record.method,
        request_id=record.request_id,
        digest=record.request_digest,
        session_id=record.session_id,
        frame_number=record.frame_number,
        peer=peer_of(record.peer) if record.HasField("peer") else None,
    )


def peer_of(record: record_pb2.PeerRow) -> Peer:
    """Return the leader that a record or a row names."""
    return Peer(record.role, record.shard, Epoch(record.epoch_generation, record.epoch_revision))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
