"""`tercio pools`: what there is, and how much of it is granted."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from tercio.api.resources.v1 import pool_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.cli import texts
from tercio.cli.connect import Address, Limit, Output
from tercio.cli.output import Column, Format, View, show_list, show_one
from tercio.cli.usage import checked
from tercio.requests import new_request_id
from tercio_resources.cli import connect

app = typer.Typer(help="See and change the pools of resources.", no_args_is_help=True)

PoolId = Annotated[str, typer.Argument(metavar="ID", help="the pool")]
Expression = Annotated[str, typer.Option("--filter", help="in the language of AIP-160, e.g. 'dimension = cpu'")]
Dimension = Annotated[str, typer.Option("--dimension", help="what it holds, e.g. cpu")]
Capacity = Annotated[int, typer.Option("--capacity", min=0, help="how much there is, in the dimension's unit")]
NewCapacity = Annotated[int | None, typer.Option("--capacity", min=0, help="how much there is from now on")]
Reserve = Annotated[int, typer.Option("--reserve", min=0, help="how much of it is for emergencies only")]
NewReserve = Annotated[int | None, typer.Option("--reserve", min=0, help="how much is for emergencies from now on")]
Unit = Annotated[str, typer.Option("--unit", help="of a dimension that has none of its own")]
Label = Annotated[list[str] | None, typer.Option("--label", help="KEY=VALUE; may be repeated")]
Lift = Annotated[bool, typer.Option("--lift", help="let it grant again")]

_COLOURS = {"ACTIVE": "green", "FENCED": "yellow", "OVER_COMMITTED": "red"}


def _state(pool: pool_pb2.Pool) -> str:
    name = pool_pb2.Pool.State.Name(pool.state).removeprefix("STATE_")
    return f"[{_COLOURS[name]}]{name}[/{_COLOURS[name]}]" if name in _COLOURS else name


VIEW: View[pool_pb2.Pool] = View(
    name=lambda pool: pool.pool_id,
    nothing="there are no pools; `tercio pools create --help` shows how to make one",
    columns=(
        Column("POOL", lambda pool: escape(pool.pool_id)),
        Column("STATE", _state),
        Column("DIMENSION", lambda pool: escape(pool.dimension)),
        Column("GRANTED", lambda pool: str(pool.granted)),
        Column("CAPACITY", lambda pool: str(pool.capacity)),
        Column("UNIT", lambda pool: escape(pool.unit)),
        Column("RESERVE", lambda pool: str(pool.reserve), wide=True),
        Column("LABELS", lambda pool: escape(texts.pairs(pool.labels)) or "-", wide=True),
        Column("CREATED", lambda pool: texts.age(pool.create_time), wide=True),
    ),
)


@app.command("list", epilog="Example: tercio pools list --filter 'state = OVER_COMMITTED' -o wide")
def list_(
    expression: Expression = "", limit: Limit = 1000, output: Output = Format.TABLE, address: Address = None
) -> None:
    """List pools, in the order of their ids."""
    request = pb.ListPoolsRequest(expression=expression)
    found = connect.listed(address, "ListPools", request, "pools", limit=limit)
    show_list(found, VIEW, output)


@app.command(epilog="Example: tercio pools get cpu -o yaml")
def get(pool_id: PoolId, output: Output = Format.WIDE, address: Address = None) -> None:
    """Show one pool."""
    answer = connect.run(address, lambda service: service.call("GetPool", pb.GetPoolRequest(pool_id=pool_id)))
    show_one(answer.pool, VIEW, output)


@app.command(epilog="Example: tercio pools create gpu --dimension gpu --capacity 8 --unit count")
def create(
    pool_id: PoolId,
    dimension: Dimension,
    capacity: Capacity,
    reserve: Reserve = 0,
    unit: Unit = "",
    label: Label = None,
    address: Address = None,
) -> None:
    """Create a pool."""
    with checked():
        labels = texts.parse_pairs(label or [], what="label")
    pool = pool_pb2.Pool(
        pool_id=pool_id, dimension=dimension, capacity=capacity, reserve=reserve, unit=unit, labels=labels
    )
    request = pb.CreatePoolRequest(request_id=new_request_id(), pool=pool)
    answer = connect.run(address, lambda service: service.call("CreatePool", request))
    typer.echo(f"{answer.pool.pool_id} has {answer.pool.capacity} {answer.pool.unit}")


@app.command(epilog="Example: tercio pools resize cpu --capacity 64000")
def resize(pool_id: PoolId, capacity: NewCapacity = None, reserve: NewReserve = None, address: Address = None) -> None:
    """Change how much a pool has; what is granted stays, even if it is more."""
    _update(pb.UpdatePoolRequest(pool_id=pool_id, capacity=capacity, reserve=reserve), address)


@app.command(epilog="Example: tercio pools fence cpu")
def fence(pool_id: PoolId, lift: Lift = False, address: Address = None) -> None:
    """Let a pool grant nothing more, or allow it again; what is granted stays."""
    _update(pb.UpdatePoolRequest(pool_id=pool_id, fenced=not lift), address)


@app.command(epilog="Example: tercio pools delete gpu")
def delete(pool_id: PoolId, address: Address = None) -> None:
    """Delete a pool of which nothing is granted."""
    request = pb.DeletePoolRequest(request_id=new_request_id(), pool_id=pool_id)
    connect.run(address, lambda service: service.call("DeletePool", request))
    typer.echo(f"{pool_id} is deleted")


def _update(request: pb.UpdatePoolRequest, address: str | None) -> None:
    request.request_id = new_request_id()
    pool = connect.run(address, lambda service: service.call("UpdatePool", request)).pool
    state = pool_pb2.Pool.State.Name(pool.state).removeprefix("STATE_")
    typer.echo(f"{pool.pool_id} is {state}: {pool.granted} of {pool.capacity} {pool.unit} are granted")
