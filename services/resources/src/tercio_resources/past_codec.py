"""Ends of allocations as protobuf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from google.protobuf.message import Message

from tercio_resources.lot_codec import lot_of, lot_record
from tercio_resources.records.v1 import events_pb2 as records
from tercio_resources.state.events import AllocationsReleased, PastAllocationsForgotten
from tercio_resources.state.rows import Cause, PastAllocationRow
from tercio_resources.state.tables import PAST_ALLOCATIONS


def _released_record(event: AllocationsReleased) -> records.Event:
    return records.Event(
        allocations_released=records.AllocationsReleased(
            cause=cast("records.AllocationsReleased.Cause.ValueType", int(event.cause)),
            allocation_numbers=event.numbers,
            barred_owners=event.barred,
            agents_by_owner=dict(event.agents),
        )
    )


def _released(record: records.AllocationsReleased) -> AllocationsReleased:
    agents = tuple(sorted(record.agents_by_owner.items()))
    return AllocationsReleased(
        Cause(record.cause), tuple(record.allocation_numbers), tuple(record.barred_owners), agents
    )


def _past_record(row: PastAllocationRow) -> records.PastAllocationRow:
    return records.PastAllocationRow(
        number=row.number,
        owner=row.owner,
        lot=lot_record(row.lot),
        agent_id=row.agent_id,
        cause=cast("records.AllocationsReleased.Cause.ValueType", int(row.cause)),
        granted_wall_ms=row.granted_wall,
        ended_wall_ms=row.ended_wall,
        ended_now_ms=row.ended_now,
        charged_parts=str(row.charged) if row.charged else "",
    )


def _past(data: bytes) -> PastAllocationRow:
    record = records.PastAllocationRow.FromString(data)
    return PastAllocationRow(
        number=record.number,
        owner=record.owner,
        lot=lot_of(record.lot),
        agent_id=record.agent_id,
        cause=Cause(record.cause),
        granted_wall=record.granted_wall_ms,
        ended_wall=record.ended_wall_ms,
        ended_now=record.ended_now_ms,
        charged=int(record.charged_parts or 0),
    )


ENCODERS: dict[type[Any], Callable[[Any], records.Event]] = {
    AllocationsReleased: _released_record,
    PastAllocationsForgotten: lambda e: records.Event(
        past_allocations_forgotten=records.PastAllocationsForgotten(allocation_numbers=e.numbers)
    ),
}
DECODERS: dict[str, Callable[[Any], Any]] = {
    "allocations_released": _released,
    "past_allocations_forgotten": lambda r: PastAllocationsForgotten(tuple(r.allocation_numbers)),
}
ROW_ENCODERS: dict[str, Callable[[Any], Message]] = {PAST_ALLOCATIONS: _past_record}
ROW_DECODERS: dict[str, Callable[[bytes], Any]] = {PAST_ALLOCATIONS: _past}
