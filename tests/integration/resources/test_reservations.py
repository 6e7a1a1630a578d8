"""Reservations through real gRPC, and their watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_status import rpc_status

from support.registry import fields_of, reason_of
from support.resources import Resources, spec
from tercio.api.resources.v1 import reservation_pb2
from tercio.api.resources.v1 import reservation_service_pb2 as pb
from tercio.api.resources.v1.reservation_service_pb2_grpc import ReservationServiceStub
from tercio_common.testing.manual_clock import ManualClock

State = reservation_pb2.Reservation.State


@pytest.fixture
async def stub(resources: Resources) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{resources.port}") as channel:
        yield ReservationServiceStub(channel)


def at(clock: ManualClock, ahead_s: int) -> Timestamp:
    return Timestamp(seconds=clock.wall_ms() // 1_000 + ahead_s)


def reserve(
    clock: ManualClock, request_id: str, cpu: int = 600, *, start: int = 20, end: int = 60
) -> pb.ReserveRequest:
    return pb.ReserveRequest(
        request_id=request_id,
        owner="nightly",
        spec=spec({"cpu": cpu}),
        start_time=at(clock, start),
        end_time=at(clock, end),
    )


async def refused(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return reason_of(caught.value)


async def test_a_reservation_is_made_once_shown_claimed_and_over_with_its_grant(
    resources: Resources, stub: Any, clock: ManualClock
) -> None:
    watch = stub.WatchReservations(pb.WatchReservationsRequest())
    assert not (await asyncio.wait_for(watch.read(), 10)).reservations
    request = reserve(clock, "r")
    for _ in range(2):
        made = (await stub.Reserve(request)).reservation
    assert (made.state, made.parts[0].amount.amount, made.parts[0].amount.unit) == (
        State.STATE_BOOKED,
        600,
        "millicores",
    )
    assert len((await stub.ListReservations(pb.ListReservationsRequest())).reservations) == 1
    told = await asyncio.wait_for(watch.read(), 10)
    assert [each.reservation_id for each in told.reservations] == [made.reservation_id]
    claim = pb.ClaimReservationRequest(request_id="c", reservation_id=made.reservation_id, owner="nightly")
    assert await refused(stub.ClaimReservation(claim)) == "RESERVATION_NOT_DUE"
    assert await refused(resources.allocate("other", amounts={"cpu": 400})) == "INSUFFICIENT_RESOURCES"
    await clock.advance(20_000)
    claim.request_id = "c2"
    granted = (await stub.ClaimReservation(claim)).allocation
    assert (granted.owner, (await resources.pool()).granted) == ("nightly", 600)
    claim.request_id = "c3"
    assert await refused(stub.ClaimReservation(claim)) == "RESERVATION_CLAIMED"
    await resources.release(granted.allocation_id)
    while True:
        if made.reservation_id in (await asyncio.wait_for(watch.read(), 10)).ended_reservation_ids:
            break
    watch.cancel()


async def test_what_is_too_much_in_a_window_is_told_and_room_is_there_again_after_a_cancellation(
    stub: Any, clock: ManualClock
) -> None:
    made = (await stub.Reserve(reserve(clock, "r"))).reservation
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Reserve(reserve(clock, "r2"))
    assert reason_of(caught.value) == "INSUFFICIENT_RESOURCES"
    kinds = [each.type_url.rpartition(".")[2] for each in rpc_status.from_call(caught.value).details]
    assert "QuotaFailure" in kinds
    cancel = pb.CancelReservationRequest(request_id="c", reservation_id=made.reservation_id)
    await stub.CancelReservation(cancel)
    cancel.request_id = "c2"
    assert await refused(stub.CancelReservation(cancel)) == "RESERVATION_NOT_FOUND"
    await stub.Reserve(reserve(clock, "r3"))


async def test_every_violation_is_reported(stub: Any, clock: ManualClock) -> None:
    for call, fields in (
        (stub.Reserve(pb.ReserveRequest()), ["owner", "spec.amounts", "start_time", "end_time"]),
        (stub.Reserve(reserve(clock, "w", end=20)), ["end_time"]),
        (stub.ClaimReservation(pb.ClaimReservationRequest()), ["owner"]),
        (stub.ListReservations(pb.ListReservationsRequest(page_size=2_000)), ["page_size"]),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert fields_of(caught.value) == fields
