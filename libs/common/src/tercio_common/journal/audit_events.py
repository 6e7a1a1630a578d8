"""Audit events: what is left of a record when its segment is gone, and which of them a reader wants."""

from __future__ import annotations

import sys
from itertools import islice
from typing import NamedTuple

from tercio.api.type.v1.audit_event_pb2 import AuditEvent
from tercio_common.machine.protocol import Codec
from tercio_common.records.v1 import record_pb2

MOST_RESOURCES = 10
"""Enough for what people do; a frame of a thousand tasks is found by its submitter and time."""


class Header(NamedTuple):
    """What a reader may choose events by."""

    principal: str
    method: str
    request_id: str
    wall_ms: int


class Selection(NamedTuple):
    """Which events are wanted; empty texts match all.

    Attributes:
        principal: exactly this caller.
        method: the full method or its last part.
        request_id: exactly this one.
        start_ms: not before this wall time.
        end_ms: before this wall time.
    """

    principal: str = ""
    method: str = ""
    request_id: str = ""
    start_ms: int = 0
    end_ms: int = sys.maxsize

    def matches(self, header: Header) -> bool:
        """Tell whether the event is wanted."""
        return (
            self.start_ms <= header.wall_ms < self.end_ms
            and self.principal in {"", header.principal}
            and self.request_id in {"", header.request_id}
            and self.method in {"", header.method, header.method.rpartition("/")[2]}
        )


def is_mutation(record: record_pb2.Record) -> bool:
    """Tell whether the record changed something: a header that only keeps the time or counts a frame did not."""
    return bool(record.events)


def audit_event(record: record_pb2.Record, codec: Codec) -> AuditEvent:
    """Return the audit event of a mutation."""
    described = [codec.describe_event(event) for event in record.events]
    names = list(dict.fromkeys(name for one in described for name in one.resources))
    event = AuditEvent(
        seq=record.seq,
        principal=record.principal,
        method=record.method,
        request_id=record.request_id,
        session_id=record.session_id,
        frame_number=record.frame_number,
        changes=dict.fromkeys(one.kind for one in described),
        resources=islice(names, MOST_RESOURCES),
        resource_count=len(names),
    )
    event.epoch.generation, event.epoch.revision = record.epoch_generation, record.epoch_revision
    event.time.FromMilliseconds(record.wall_ms)
    return event


def header_of_record(record: record_pb2.Record) -> Header:
    """Return what a reader may choose the record's event by."""
    return Header(record.principal, record.method, record.request_id, record.wall_ms)


def header_of(event: AuditEvent) -> Header:
    """Return what a reader may choose the event by."""
    return Header(event.principal, event.method, event.request_id, event.time.ToMilliseconds())
