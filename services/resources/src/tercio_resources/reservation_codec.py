"""Events and rows of reservations as protobuf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from google.protobuf.message import Message

from tercio_resources.lot_codec import lot_of, lot_record
from tercio_resources.records.v1 import events_pb2 as records
from tercio_resources.state import reservation_rows as rows
from tercio_resources.state.reservation_rows import EndCause, Phase, ReservationMade, ReservationRow, Window
from tercio_resources.state.tables import RESERVATIONS


def _made_record(event: ReservationMade) -> records.ReservationMade:
    return records.ReservationMade(
        owner=event.owner,
        lot=lot_record(event.lot),
        start_wall_ms=event.window.start,
        end_wall_ms=event.window.end,
        claim_by_wall_ms=event.window.claim_by,
    )


def _made(record: records.ReservationMade) -> ReservationMade:
    window = Window(record.start_wall_ms, record.end_wall_ms, record.claim_by_wall_ms)
    return ReservationMade(record.owner, lot_of(record.lot), window)


def _row_record(row: ReservationRow) -> records.ReservationRow:
    return records.ReservationRow(
        number=row.number,
        made=_made_record(ReservationMade(row.owner, row.lot, row.window)),
        created_wall_ms=row.created_wall,
        phase=row.phase,
        due_now_ms=row.due,
        allocation_number=row.allocation,
        principal=row.principal,
    )


def _row(data: bytes) -> ReservationRow:
    record = records.ReservationRow.FromString(data)
    made = _made(record.made)
    return ReservationRow(
        number=record.number,
        owner=made.owner,
        lot=made.lot,
        window=made.window,
        created_wall=record.created_wall_ms,
        phase=Phase(record.phase),
        due=record.due_now_ms,
        allocation=record.allocation_number,
        principal=record.principal,
    )


def _ended_record(event: rows.ReservationsEnded) -> records.Event:
    return records.Event(
        reservations_ended=records.ReservationsEnded(
            cause=cast("records.ReservationsEnded.Cause.ValueType", int(event.cause)),
            reservation_numbers=event.numbers,
        )
    )


ENCODERS: dict[type[Any], Callable[[Any], records.Event]] = {
    ReservationMade: lambda e: records.Event(reservation_made=_made_record(e)),
    rows.ReservationAdvanced: lambda e: records.Event(
        reservation_advanced=records.ReservationAdvanced(reservation_number=e.number, phase=e.phase)
    ),
    rows.ReservationClaimed: lambda e: records.Event(
        reservation_claimed=records.ReservationClaimed(reservation_number=e.number)
    ),
    rows.ReservationsEnded: _ended_record,
}
DECODERS: dict[str, Callable[[Any], rows.ReservationEvent]] = {
    "reservation_made": _made,
    "reservation_advanced": lambda r: rows.ReservationAdvanced(r.reservation_number, Phase(r.phase)),
    "reservation_claimed": lambda r: rows.ReservationClaimed(r.reservation_number),
    "reservations_ended": lambda r: rows.ReservationsEnded(EndCause(r.cause), tuple(r.reservation_numbers)),
}
ROW_ENCODERS: dict[str, Callable[[Any], Message]] = {RESERVATIONS: _row_record}
ROW_DECODERS: dict[str, Callable[[bytes], Any]] = {RESERVATIONS: _row}
