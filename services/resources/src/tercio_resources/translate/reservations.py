"""Reservations: contract to domain and back."""

from __future__ import annotations

from typing import Final, cast

from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.resources.v1 import reservation_pb2
from tercio.api.resources.v1 import reservation_service_pb2 as pb
from tercio_common.rpc.fields import page_size_of, timestamp
from tercio_common.rpc.violations import Violations
from tercio_resources.state.pools import PoolsByDimension
from tercio_resources.state.reservation_rows import CancelReservation, ClaimReservation, ReservationRow, Reserve
from tercio_resources.translate.allocations import check_owner, part_messages, spec_of

_LEAST_MS: Final = 1_000
_MOST_MS: Final = 30 * 86_400_000
_MOST_CLAIM_MS: Final = 86_400_000


def reserve_command(request: pb.ReserveRequest) -> Reserve:
    """Translate a reservation. Raises INVALID_ARGUMENT, as all below do."""
    found = Violations()
    check_owner("owner", request.owner, found)
    spec = spec_of("spec", request.spec, found)
    start, end = _wall("start_time", request.start_time, found), _wall("end_time", request.end_time, found)
    if start and end:
        found.check("end_time", _LEAST_MS <= end - start <= _MOST_MS, "must be 1 s to 30 days after start_time")
    within = 0
    if request.HasField("claim_within"):
        within = found.check_duration("claim_within", request.claim_within, least_ms=_LEAST_MS, most_ms=_MOST_CLAIM_MS)
    found.raise_if_any()
    return Reserve(owner=request.owner, spec=spec, start=start, end=end, claim_within=within)


def claim_command(request: pb.ClaimReservationRequest) -> ClaimReservation:
    """Translate a claim."""
    found = Violations()
    check_owner("owner", request.owner, found)
    found.raise_if_any()
    return ClaimReservation(request.reservation_id, request.owner)


def cancel_command(request: pb.CancelReservationRequest) -> CancelReservation:
    """Translate a cancellation."""
    return CancelReservation(request.reservation_id)


def page_size(request: pb.ListReservationsRequest) -> int:
    """Return the page size of a list."""
    found = Violations()
    size = page_size_of(request.page_size, found)
    found.raise_if_any()
    return size


def reservation_message(row: ReservationRow, units: PoolsByDimension) -> reservation_pb2.Reservation:
    """Return a reservation as the contract has it."""
    return reservation_pb2.Reservation(
        reservation_id=row.number,
        owner=row.owner,
        tenant=row.lot.tenant,
        parts=part_messages(row.lot, units),
        priority=row.lot.priority,
        start_time=timestamp(row.window.start),
        end_time=timestamp(row.window.end),
        claim_by_time=timestamp(row.window.claim_by),
        state=cast("reservation_pb2.Reservation.State.ValueType", int(row.phase)),
        allocation_id=row.allocation,
        create_time=timestamp(row.created_wall),
    )


def _wall(field: str, moment: Timestamp, found: Violations) -> int:
    """Return a time in ms, 0 and a note when it is none."""
    valid = moment.seconds > 0 and 0 <= moment.nanos < 10**9
    if not found.check(field, valid, "must be a time after 1970"):
        return 0
    return moment.seconds * 1_000 + moment.nanos // 10**6
