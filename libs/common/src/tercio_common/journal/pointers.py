"""The snapshot pointer as bytes."""

from __future__ import annotations

from tercio_common.epochs import Epoch
from tercio_common.journal.port import SnapshotId, SnapshotPointer
from tercio_common.records.v1 import record_pb2


def encode_pointer(pointer: SnapshotPointer) -> bytes:
    """Return the pointer's record; equal pointers give equal bytes."""
    return record_pb2.SnapshotPointer(
        epoch_generation=pointer.id.epoch.generation,
        epoch_revision=pointer.id.epoch.revision,
        seq=pointer.id.seq,
        segment=pointer.segment,
        now_ms=pointer.now_ms,
        wall_ms=pointer.wall_ms,
        chunk_count=pointer.chunk_count,
        size_bytes=pointer.size_bytes,
    ).SerializeToString(deterministic=True)


def decode_pointer(data: bytes) -> SnapshotPointer:
    """Return the pointer that a record holds."""
    record = record_pb2.SnapshotPointer.FromString(data)
    return SnapshotPointer(
        id=SnapshotId(Epoch(record.epoch_generation, record.epoch_revision), record.seq),
        segment=record.segment,
        now_ms=record.now_ms,
        wall_ms=record.wall_ms,
        chunk_count=record.chunk_count,
        size_bytes=record.size_bytes,
    )
