"""Lots as protobuf: parts of several records."""

from __future__ import annotations

from tercio_resources.records.v1 import events_pb2 as records
from tercio_resources.state.rows import Lot, Part


def lot_record(lot: Lot) -> records.Lot:
    """Encode a lot."""
    parts = [records.Lot.Part(pool_id=pool, dimension=name, amount=amount) for pool, name, amount in lot.parts]
    return records.Lot(
        tenant=lot.tenant,
        priority=lot.priority,
        ttl_ms=lot.ttl,
        parts=parts,
        emergency=lot.emergency,
        task_type=lot.task_type,
        micros_per_hour=str(lot.rate) if lot.rate else "",
    )


def lot_of(record: records.Lot) -> Lot:
    """Decode a lot."""
    parts = tuple(Part(part.pool_id, part.dimension, part.amount) for part in record.parts)
    rate = int(record.micros_per_hour or 0)
    return Lot(record.tenant, record.priority, record.ttl_ms, parts, record.emergency, record.task_type, rate)
