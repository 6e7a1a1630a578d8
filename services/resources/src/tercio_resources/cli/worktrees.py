"""`tercio worktrees`: which there are, and who has them."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.markup import escape

from tercio.api.resources.v1 import worktree_pb2
from tercio.api.resources.v1 import worktree_service_pb2 as pb
from tercio.api.resources.v1.worktree_service_pb2_grpc import WorktreeServiceStub
from tercio.cli import texts
from tercio.cli.connect import Address, Limit, Output
from tercio.cli.output import Column, Format, View, show_list
from tercio.cli.usage import checked
from tercio.requests import new_request_id
from tercio_resources.cli import connect

app = typer.Typer(help="See and change the pools of git worktrees.", no_args_is_help=True)

PoolId = Annotated[str, typer.Argument(metavar="POOL", help="the pool")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="the worktree's number in the pool")]
Pool = Annotated[str, typer.Option("--pool", help="only of this pool")]
Repository = Annotated[str, typer.Option("--repository", help="a path in it, on the machine of the service")]
Folder = Annotated[str, typer.Option("--folder", help="where the worktrees are made")]
Ref = Annotated[str, typer.Option("--ref", help="what is checked out, detached")]
Ahead = Annotated[int, typer.Option("--ahead", min=1, max=1000, help="how many there are, made ahead of time")]
Label = Annotated[list[str] | None, typer.Option("--label", help="KEY=VALUE; may be repeated")]

_COLOURS = {"READY": "green", "HELD": "cyan", "BROKEN": "red"}


def _name(row: worktree_pb2.Worktree) -> str:
    return worktree_pb2.Worktree.State.Name(row.state).removeprefix("STATE_")


def _state(row: worktree_pb2.Worktree) -> str:
    name = _name(row)
    return f"[{_COLOURS[name]}]{name}[/{_COLOURS[name]}]" if name in _COLOURS else name


VIEW: View[worktree_pb2.Worktree] = View(
    name=lambda row: row.path,
    nothing="no pool keeps worktrees; `tercio worktrees create --help` shows how to make one",
    columns=(
        Column("POOL", lambda row: escape(row.pool_id)),
        Column("NUMBER", lambda row: str(row.number)),
        Column("STATE", _state),
        Column("PATH", lambda row: escape(row.path)),
        Column("OWNER", lambda row: escape(row.owner) or "-"),
        Column("SINCE", lambda row: texts.age(row.change_time)),
        Column("FAILURES", lambda row: str(row.failure_count), wide=True),
        Column("MESSAGE", lambda row: escape(row.message) or "-", wide=True),
    ),
)


@app.command("list", epilog="Example: tercio worktrees list --pool trees -o wide")
def list_(pool: Pool = "", limit: Limit = 1000, output: Output = Format.TABLE, address: Address = None) -> None:
    """List worktrees, and who has them."""
    request = pb.ListWorktreesRequest(pool_id=pool)
    found = connect.listed(address, "ListWorktrees", request, "worktrees", limit=limit, stub=WorktreeServiceStub)
    show_list(found, VIEW, output)


@app.command(epilog="Example: tercio worktrees create trees --repository . --folder /tmp/trees --ref main --ahead 8")
def create(
    pool_id: PoolId,
    repository: Repository,
    folder: Folder,
    ref: Ref = "HEAD",
    ahead: Ahead = 8,
    label: Label = None,
    address: Address = None,
) -> None:
    """Create a pool that keeps worktrees. `tercio pools` resizes, fences and deletes it."""
    with checked():
        labels = texts.parse_pairs(label or [], what="label")
    # As this shell sees them: the service runs on this machine, or paths are given as its own one has them.
    pool = worktree_pb2.WorktreePool(
        pool_id=pool_id, repository=os.path.abspath(repository), folder=os.path.abspath(folder), ref=ref
    )
    request = pb.CreateWorktreePoolRequest(
        request_id=new_request_id(), worktree_pool=pool, capacity=ahead, labels=labels
    )
    answer = connect.run(
        address, lambda service: service.call("CreateWorktreePool", request), stub=WorktreeServiceStub
    ).worktree_pool
    typer.echo(f"{answer.pool_id} keeps {ahead} worktrees of {answer.repository} at {answer.ref} in {answer.folder}")


@app.command(epilog="Example: tercio worktrees clean trees 3")
def clean(pool_id: PoolId, number: Number, address: Address = None) -> None:
    """Clean a worktree that nobody holds, once more; make it again if it is BROKEN."""
    request = pb.CleanWorktreeRequest(request_id=new_request_id(), pool_id=pool_id, number=number)
    answer = connect.run(address, lambda service: service.call("CleanWorktree", request), stub=WorktreeServiceStub)
    typer.echo(f"{answer.worktree.path} is {_name(answer.worktree)}")


@app.command(epilog="Example: tercio worktrees remove trees 3")
def remove(pool_id: PoolId, number: Number, address: Address = None) -> None:
    """Remove a worktree that nobody holds; another one is made in its place, under another name."""
    request = pb.RemoveWorktreeRequest(request_id=new_request_id(), pool_id=pool_id, number=number)
    answer = connect.run(address, lambda service: service.call("RemoveWorktree", request), stub=WorktreeServiceStub)
    typer.echo(f"{answer.worktree.path} is {_name(answer.worktree)}")
