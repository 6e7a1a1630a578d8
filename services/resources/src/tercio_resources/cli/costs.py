"""`tercio costs`: what was used costs, to whom, and up to which limit."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from tercio.api.resources.v1 import cost_pb2
from tercio.api.resources.v1 import cost_service_pb2 as pb
from tercio.api.resources.v1.cost_service_pb2_grpc import CostServiceStub
from tercio.cli.connect import Address, Limit, Output
from tercio.cli.output import Column, Format, View, show_list
from tercio.cli.usage import checked, choices
from tercio.requests import new_request_id
from tercio_resources.cli import connect

app = typer.Typer(help="See what resources cost, and limit it.", no_args_is_help=True)

By = Annotated[str, typer.Option("--by", help="tenant, owner, task_type, agent or budget")]
Payer = Annotated[str, typer.Argument(metavar="PAYER", help="tenant, owner or task_type")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="whose")]
Micros = Annotated[int, typer.Argument(metavar="MICROS", min=0, help="in millionths of the currency; 0 is no limit")]
Dimension = Annotated[str, typer.Argument(metavar="DIMENSION", help="for instance cpu")]
Price = Annotated[int, typer.Argument(metavar="MICROS", min=0, help="of a unit for an hour, in millionths")]

VIEW: View[cost_pb2.Cost] = View(
    name=lambda each: each.name,
    nothing="nothing has cost anything",
    columns=(
        Column("NAME", lambda each: escape(each.name) or "-"),
        Column("COST", lambda each: _money(each.micros)),
        Column("AN HOUR", lambda each: _money(each.micros_per_hour)),
        Column("LIMIT", lambda each: _money(each.limit_micros) if each.limit_micros else "-"),
    ),
)
PRICES: View[cost_pb2.Price] = View(
    name=lambda each: each.dimension,
    nothing="nothing has a price; `tercio costs price --help` shows how to set one",
    columns=(
        Column("DIMENSION", lambda each: escape(each.dimension)),
        Column("MICROS A UNIT AND HOUR", lambda each: str(each.micros_per_unit_hour)),
    ),
)


@app.command("list", epilog="Example: tercio costs list --by owner")
def list_(by: By = "tenant", limit: Limit = 1000, output: Output = Format.TABLE, address: Address = None) -> None:
    """Show what everybody of one kind cost so far."""
    with checked():
        (payer,) = choices([by], cost_pb2.Cost.Payer, prefix="PAYER_")
    request = pb.GetCostsRequest(payer=payer)
    found = connect.listed(address, "GetCosts", request, "costs", limit=limit, stub=CostServiceStub)
    show_list(found, VIEW, output)


@app.command(epilog="Example: tercio costs prices -o json")
def prices(output: Output = Format.TABLE, address: Address = None) -> None:
    """List prices."""
    answer = connect.run(
        address, lambda service: service.call("ListPrices", pb.ListPricesRequest()), stub=CostServiceStub
    )
    show_list(list(answer.prices), PRICES, output)


@app.command(epilog="Example: tercio costs price cpu 40")
def price(dimension: Dimension, micros: Price, address: Address = None) -> None:
    """Set the price of what is granted from now on."""
    asked = cost_pb2.Price(dimension=dimension, micros_per_unit_hour=micros)
    request = pb.SetPriceRequest(request_id=new_request_id(), price=asked)
    connect.run(address, lambda service: service.call("SetPrice", request), stub=CostServiceStub)
    typer.echo(f"a unit of {dimension} costs {micros} micros an hour")


@app.command("limit", epilog="Example: tercio costs limit tenant research 50000000")
def limit_(payer: Payer, name: Name, micros: Micros, address: Address = None) -> None:
    """Limit what somebody may cost: who reached it is granted nothing more."""
    with checked():
        (number,) = choices([payer], cost_pb2.Cost.Payer, prefix="PAYER_")
    request = pb.SetCostLimitRequest(request_id=new_request_id(), payer=number, name=name, limit_micros=micros)
    connect.run(address, lambda service: service.call("SetCostLimit", request), stub=CostServiceStub)
    typer.echo(f"{name} may cost {_money(micros)}" if micros else f"{name} may cost anything")


def _money(micros: int) -> str:
    return f"{micros / 10**6:.6f}".rstrip("0").rstrip(".")
