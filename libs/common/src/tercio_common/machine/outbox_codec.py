"""The outbox in journals and snapshots."""

from __future__ import annotations

from tercio_common.machine.outbox import OutboxAcknowledged, OutboxRow
from tercio_common.records.v1 import outbox_pb2 as records


def row_record(row: OutboxRow) -> records.OutboxRow:
    """Return the record of a row."""
    return records.OutboxRow(
        entry_id=row.entry_id, kind=row.kind, payload=row.payload, created_ms=row.created, seq=row.seq
    )


def row_of(record: records.OutboxRow) -> OutboxRow:
    """Return the row of a record."""
    return OutboxRow(record.entry_id, record.kind, record.payload, record.created_ms, record.seq)


def acknowledged_record(event: OutboxAcknowledged) -> records.OutboxAcknowledged:
    """Return the record of an event."""
    return records.OutboxAcknowledged(entry_ids=event.entry_ids)


def acknowledged_of(record: records.OutboxAcknowledged) -> OutboxAcknowledged:
    """Return the event of a record."""
    return OutboxAcknowledged(tuple(record.entry_ids))
