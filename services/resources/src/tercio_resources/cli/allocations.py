"""`tercio allocations`: who holds what."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.cli import texts
from tercio.cli.connect import Address, Limit, Output
from tercio.cli.output import Column, Format, View, show_list
from tercio.requests import new_request_id
from tercio_resources.cli import connect

app = typer.Typer(help="See who holds what, and release it.", no_args_is_help=True)

Expression = Annotated[
    str, typer.Option("--filter", help="in the language of AIP-160, e.g. 'tenant = a AND amounts.cpu >= 1000'")
]
Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", help="allocations to release")]
Owners = Annotated[
    list[str] | None, typer.Option("--owner", help="release all that it holds, and bar it; may be repeated")
]

VIEW: View[allocation_pb2.Allocation] = View(
    name=lambda held: str(held.allocation_id),
    nothing="nothing is allocated",
    columns=(
        Column("ID", lambda held: str(held.allocation_id)),
        Column("OWNER", lambda held: escape(held.owner)),
        Column("STATE", lambda held: allocation_pb2.Allocation.State.Name(held.state).removeprefix("STATE_")),
        Column("AMOUNTS", lambda held: escape(texts.amounts(part.amount for part in held.parts))),
        Column("TENANT", lambda held: escape(held.tenant) or "-"),
        Column("GRANTED", lambda held: texts.age(held.grant_time)),
        Column("PRIORITY", lambda held: str(held.priority), wide=True),
        Column("POOLS", lambda held: escape(",".join(part.pool_id for part in held.parts)), wide=True),
        Column("EXPIRES", lambda held: texts.clock_time(held.expire_time), wide=True),
        Column("TOKEN", lambda held: _token(held.token), wide=True),
    ),
)
PAST: View[allocation_pb2.PastAllocation] = View(
    name=lambda past: str(past.allocation_id),
    nothing="nothing that ended is kept",
    columns=(
        Column("ID", lambda past: str(past.allocation_id)),
        Column("OWNER", lambda past: escape(past.owner)),
        Column("AGENT", lambda past: escape(past.agent_id) or "-"),
        Column("ENDED", lambda past: texts.age(past.end_time)),
        Column("HOW", lambda past: allocation_pb2.PastAllocation.Cause.Name(past.cause).removeprefix("CAUSE_")),
        Column("AMOUNTS", lambda past: escape(texts.amounts(part.amount for part in past.parts))),
        Column("TENANT", lambda past: escape(past.tenant) or "-"),
        Column("TYPE", lambda past: escape(past.task_type) or "-", wide=True),
        Column("GRANTED", lambda past: texts.clock_time(past.grant_time), wide=True),
        Column("POOLS", lambda past: escape(",".join(part.pool_id for part in past.parts)), wide=True),
        Column("MICROS", lambda past: str(past.micros), wide=True),
    ),
)


@app.command("list", epilog="Example: tercio allocations list --filter 'pools.cpu > 0' -o wide")
def list_(
    expression: Expression = "", limit: Limit = 1000, output: Output = Format.TABLE, address: Address = None
) -> None:
    """List allocations, the oldest first."""
    request = pb.ListAllocationsRequest(expression=expression)
    found = connect.listed(address, "ListAllocations", request, "allocations", limit=limit)
    show_list(found, VIEW, output)


@app.command(epilog="Example: tercio allocations history --filter 'cause = EXPIRED'")
def history(
    expression: Expression = "", limit: Limit = 100, output: Output = Format.TABLE, address: Address = None
) -> None:
    """List allocations that ended, the newest first."""
    request = pb.ListAllocationHistoryRequest(expression=expression)
    found = connect.listed(address, "ListAllocationHistory", request, "allocations", limit=limit)
    show_list(found, PAST, output)


@app.command(epilog="Example: tercio allocations release 4096 --owner builder-1")
def release(allocation_ids: Ids = None, owner: Owners = None, address: Address = None) -> None:
    """Release allocations, or all that owners hold."""
    if not allocation_ids and not owner:
        raise typer.BadParameter("name allocations, or owners with --owner")
    request = pb.ReleaseRequest(request_id=new_request_id(), allocation_ids=allocation_ids, owners=owner)
    answer = connect.run(address, lambda service: service.call("Release", request))
    unknown = ", ".join(map(str, answer.unknown_allocation_ids))
    typer.echo(f"{answer.released_count} released" + (f"; not held: {unknown}" if unknown else ""))


def _token(token: allocation_pb2.FencingToken) -> str:
    return f"{token.epoch.generation}.{token.epoch.revision}.{token.number}"
