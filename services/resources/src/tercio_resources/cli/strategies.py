"""`tercio strategies`: how pools are chosen and who is served first."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from tercio.api.resources.v1 import strategy_pb2
from tercio.api.resources.v1 import strategy_service_pb2 as pb
from tercio.api.resources.v1.strategy_service_pb2_grpc import StrategyServiceStub
from tercio.cli.connect import Address, Output
from tercio.cli.output import Column, Format, View, show_list
from tercio.cli.usage import checked, choices
from tercio.requests import new_request_id
from tercio_resources.cli import connect

app = typer.Typer(help="See and swap the strategies by which resources are granted.", no_args_is_help=True)

Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="choosing or sharing")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="the strategy")]

VIEW: View[strategy_pb2.Strategy] = View(
    name=lambda each: each.name,
    nothing="there are no strategies",
    columns=(
        Column("SUBJECT", lambda each: strategy_pb2.Strategy.Subject.Name(each.subject).removeprefix("SUBJECT_")),
        Column("NAME", lambda each: escape(each.name)),
        Column("IN USE", lambda each: "yes" if each.in_use else "-"),
        Column("DESCRIPTION", lambda each: escape(each.description)),
    ),
)


@app.command("list", epilog="Example: tercio strategies list -o json")
def list_(output: Output = Format.TABLE, address: Address = None) -> None:
    """List the strategies that are installed, and which are in use."""
    answer = connect.run(
        address, lambda service: service.call("ListStrategies", pb.ListStrategiesRequest()), stub=StrategyServiceStub
    )
    show_list(list(answer.strategies), VIEW, output)


@app.command("set", epilog="Example: tercio strategies set choosing round_robin")
def set_(subject: Subject, name: Name, address: Address = None) -> None:
    """Use another strategy from now on; what was granted stays."""
    with checked():
        (number,) = choices([subject], strategy_pb2.Strategy.Subject, prefix="SUBJECT_")
    request = pb.SetStrategyRequest(request_id=new_request_id(), subject=number, name=name)
    connect.run(address, lambda service: service.call("SetStrategy", request), stub=StrategyServiceStub)
    typer.echo(f"{name} is used for {subject.lower()}")
