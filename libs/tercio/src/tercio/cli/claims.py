"""`tercio claims`: who holds what, and asking for it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from tercio.api.conflicts.v1 import claim_pb2
from tercio.cli import texts
from tercio.cli.claim import Kind, Scope
from tercio.cli.claim_names import myself, named
from tercio.cli.connect import Address, Fleet, Limit, Output, run
from tercio.cli.output import Column, Format, View, show_change, show_list
from tercio.cli.usage import checked
from tercio.things import text_of

app = typer.Typer(help="See who holds what, and ask for it.", no_args_is_help=True)

Expression = Annotated[
    str, typer.Option("--filter", help="in the language of AIP-160, e.g. 'owner = a AND mode = EXCLUSIVE'")
]
Ids = Annotated[list[int], typer.Argument(metavar="ID...", help="claims")]

VIEW: View[claim_pb2.Claim] = View(
    name=lambda claim: str(claim.claim_id),
    nothing="nothing is claimed",
    columns=(
        Column("ID", lambda claim: str(claim.claim_id)),
        Column("OWNER", lambda claim: escape(claim.owner)),
        Column("MODE", lambda claim: claim_pb2.Claim.Mode.Name(claim.mode).removeprefix("MODE_")),
        Column("STATE", lambda claim: claim_pb2.Claim.State.Name(claim.state).removeprefix("STATE_")),
        Column("CLAIMED", lambda claim: escape(text_of(claim.thing))),
        Column("GRANTED", lambda claim: texts.age(claim.grant_time)),
        Column("PURPOSE", lambda claim: escape(claim.purpose) or "-"),
        Column("SCOPE", lambda claim: escape(claim.thing.scope) or "-", wide=True),
        Column("PRIORITY", lambda claim: str(claim.priority), wide=True),
        Column("EXPIRES", lambda claim: texts.clock_time(claim.expire_time), wide=True),
        Column("YIELDS", lambda claim: _yields(claim), wide=True),
        Column("TOKEN", lambda claim: _token(claim.token), wide=True),
    ),
)


@app.command("list", epilog="Example: tercio claims list 'src/**' -o wide")
def list_(
    name: Annotated[str, typer.Argument(help="only what has a path in common with this; by default all")] = "",
    kind: Kind = "path",
    scope: Scope = None,
    expression: Expression = "",
    limit: Limit = 1000,
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """List claims, the oldest first."""
    with checked():
        overlapping = named([name], kind=kind, scope=scope).things[0] if name else None

    async def work(services: Fleet) -> list[claim_pb2.Claim]:
        found: list[claim_pb2.Claim] = []
        async for claim in services.claims.list(expression=expression, overlapping=overlapping):
            found.append(claim)
            if len(found) == limit:
                break
        return found

    show_list(run(address, work), VIEW, output)


@app.command(epilog="Example: tercio claims watch --filter 'state = YIELDING'")
def watch(expression: Expression = "", output: Output = Format.TABLE, address: Address = None) -> None:
    """Print claims, and then each that changes, until Ctrl-C. What is released is told for every claim."""

    async def work(services: Fleet) -> None:
        async with services.claims.watch(expression=expression, existing=True) as changes:
            async for change in changes:
                if change.claim is not None:
                    show_change(change.claim, VIEW, output)
                elif output in {Format.TABLE, Format.WIDE}:
                    typer.echo(f"{change.claim_id}  released")
                else:
                    show_change(claim_pb2.Claim(claim_id=change.claim_id), VIEW, output)

    run(address, work)


@app.command(epilog="Example: tercio claims release 4096")
def release(claim_ids: Ids, address: Address = None) -> None:
    """Release claims, whoever holds them. A holder that works on will be refused by its token."""
    count = run(address, lambda services: services.claims.release(claim_ids))
    typer.echo(f"{count} released" + (f"; {len(claim_ids) - count} not held" if count < len(claim_ids) else ""))


@app.command(epilog="Example: tercio claims request 4096 --because 'the build is broken' --priority 9")
def request(
    claim_ids: Ids,
    because: Annotated[str, typer.Option("--because", help="told to the holder")] = "",
    priority: Annotated[int, typer.Option("--priority", "-p", min=0, max=9, help="over the holder's it yields")] = 0,
    asked_by: Annotated[str, typer.Option("--as", help="who asks; by default you")] = "",
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """Ask holders to release: they are told, and have time to finish."""
    asked = run(
        address,
        lambda services: services.claims.request_release(
            claim_ids, asked_by=asked_by or myself(), priority=priority, because=because
        ),
    )
    show_list(asked, VIEW, output)


def _yields(claim: claim_pb2.Claim) -> str:
    return texts.clock_time(claim.yield_time) if claim.HasField("yield_time") else "-"


def _token(token: claim_pb2.FencingToken) -> str:
    return f"{token.epoch.generation}.{token.epoch.revision}.{token.number}"
