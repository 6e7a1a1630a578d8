"""`tercio reservations`: what is kept for later."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from rich.markup import escape

from tercio.api.resources.v1 import allocation_pb2, reservation_pb2
from tercio.api.resources.v1 import reservation_service_pb2 as pb
from tercio.api.resources.v1.reservation_service_pb2_grpc import ReservationServiceStub
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio.cli import texts
from tercio.cli.connect import Address, Limit, Output
from tercio.cli.output import Column, Format, View, show_list
from tercio.cli.usage import checked
from tercio.requests import new_request_id
from tercio_resources.cli import connect

app = typer.Typer(help="Keep resources for later.", no_args_is_help=True)

Id = Annotated[int, typer.Argument(metavar="ID", help="the reservation")]
Owner = Annotated[str, typer.Argument(metavar="OWNER", help="who may claim it")]
Amounts = Annotated[list[str], typer.Option("--amount", help="DIMENSION=AMOUNT, in its unit; may be repeated")]
Start = Annotated[datetime, typer.Option("--start", help="when it begins, in local time")]
For = Annotated[str, typer.Option("--for", help="how long it lasts, e.g. 2h")]
Tenant = Annotated[str, typer.Option("--tenant", help="for whom")]
Priority = Annotated[int, typer.Option("--priority", min=0, max=9, help="of what is granted then")]

VIEW: View[reservation_pb2.Reservation] = View(
    name=lambda each: str(each.reservation_id),
    nothing="nothing is reserved",
    columns=(
        Column("RESERVATION", lambda each: str(each.reservation_id)),
        Column("STATE", lambda each: reservation_pb2.Reservation.State.Name(each.state).removeprefix("STATE_")),
        Column("OWNER", lambda each: escape(each.owner)),
        Column("AMOUNTS", lambda each: escape(texts.amounts(part.amount for part in each.parts))),
        Column("START", lambda each: texts.clock_time(each.start_time)),
        Column("END", lambda each: texts.clock_time(each.end_time)),
        Column("CLAIM BY", lambda each: texts.clock_time(each.claim_by_time), wide=True),
        Column("ALLOCATION", lambda each: str(each.allocation_id or "-"), wide=True),
    ),
)


@app.command("list", epilog="Example: tercio reservations list -o wide")
def list_(limit: Limit = 1000, output: Output = Format.TABLE, address: Address = None) -> None:
    """List reservations, in the order of their ids."""
    request = pb.ListReservationsRequest()
    found = connect.listed(
        address, "ListReservations", request, "reservations", limit=limit, stub=ReservationServiceStub
    )
    show_list(found, VIEW, output)


@app.command(
    epilog="Example: tercio reservations create nightly --amount cpu=4000 --start 2030-01-01T02:00:00 --for 2h"
)
def create(
    owner: Owner,
    amount: Amounts,
    start: Start,
    for_: For,
    tenant: Tenant = "",
    priority: Priority = 0,
    address: Address = None,
) -> None:
    """Reserve amounts for a window."""
    with checked():
        amounts = [_amount(each) for each in amount]
        end = start + texts.parse_duration(for_)
    request = pb.ReserveRequest(
        request_id=new_request_id(),
        owner=owner,
        spec=allocation_pb2.AllocationSpec(amounts=amounts, tenant=tenant, priority=priority),
        start_time=_timestamp(start),
        end_time=_timestamp(end),
    )
    made = connect.run(address, lambda service: service.call("Reserve", request), stub=ReservationServiceStub)
    reservation = made.reservation
    typer.echo(f"{reservation.reservation_id} is reserved; claim it by {texts.clock_time(reservation.claim_by_time)}")


@app.command(epilog="Example: tercio reservations claim 4711 nightly")
def claim(reservation_id: Id, owner: Owner, address: Address = None) -> None:
    """Have granted what was reserved."""
    request = pb.ClaimReservationRequest(request_id=new_request_id(), reservation_id=reservation_id, owner=owner)
    answer = connect.run(
        address, lambda service: service.call("ClaimReservation", request), stub=ReservationServiceStub
    )
    typer.echo(f"{owner} holds allocation {answer.allocation.allocation_id}")


@app.command(epilog="Example: tercio reservations cancel 4711")
def cancel(reservation_id: Id, address: Address = None) -> None:
    """Keep the room no longer."""
    request = pb.CancelReservationRequest(request_id=new_request_id(), reservation_id=reservation_id)
    connect.run(address, lambda service: service.call("CancelReservation", request), stub=ReservationServiceStub)
    typer.echo(f"{reservation_id} is cancelled")


def _amount(text: str) -> ResourceAmount:
    name, separator, amount = text.partition("=")
    if not (name and separator and amount.isdigit()):
        raise ValueError(f"{text!r} is not an amount: write DIMENSION=AMOUNT")
    return ResourceAmount(dimension=name, amount=int(amount))


def _timestamp(moment: datetime) -> Timestamp:
    return Timestamp(seconds=int(moment.timestamp()))
