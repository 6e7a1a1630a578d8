"""`tercio agents config`: what agents are configured with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tercio.api.registry.v1 import config_service_pb2 as pb
from tercio.api.registry.v1.agent_config_pb2 import ConfigRevision
from tercio.cli import connect, texts
from tercio.cli.connect import CALL_TIMEOUT_S, Address, Fleet, Output
from tercio.cli.output import Column, Format, View, document, print_data, show_list, show_one
from tercio.cli.usage import checked
from tercio.requests import new_request_id

app = typer.Typer(help="See and change what agents are configured with.", no_args_is_help=True)

_WAIT_S = 60.0
"""Longer than an agent is observed by default, and may take to apply it."""

AgentId = Annotated[str, typer.Argument(metavar="ID", help="the agent")]
Source = Annotated[str, typer.Option("--file", "-f", help="a file with JSON; - is the standard input")]
Observe = Annotated[str, typer.Option("--observe", help="how long the agent is observed: 30s, 5m")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="do not wait for what becomes of it")]
Number = Annotated[int, typer.Option("--revision", min=0, help="which revision; 0 is the active one")]


def _state(revision: ConfigRevision) -> str:
    return ConfigRevision.State.Name(revision.state).removeprefix("STATE_")


VIEW: View[ConfigRevision] = View(
    name=lambda revision: str(revision.revision),
    nothing="the agent has no configuration",
    columns=(
        Column("REVISION", lambda revision: str(revision.revision)),
        Column("STATE", _state),
        Column("AGE", lambda revision: texts.age(revision.create_time)),
        Column("AUTHOR", lambda revision: escape(revision.author)),
        Column("REASON", lambda revision: escape(revision.reason or revision.message) or "-"),
        Column("ROLL-OUT", lambda revision: escape(revision.rollout_id) or "-", wide=True),
        Column("DOCUMENT", lambda revision: escape(revision.document), wide=True),
    ),
)


@app.command(epilog="Example: tercio agents config get builder-1 -o json | jq -r .document")
def get(agent_id: AgentId, revision: Number = 0, output: Output = Format.TABLE, address: Address = None) -> None:
    """Print a configuration: its document, or all about it with -o json or yaml."""

    async def work(fleet: Fleet) -> ConfigRevision:
        request = pb.GetConfigRequest(agent_id=agent_id, revision=revision)
        answer = await fleet.configs.unary(lambda stub: stub.GetConfig, request, timeout_s=CALL_TIMEOUT_S)
        return answer.revision

    found = connect.run(address, work)
    if output is Format.TABLE:
        typer.echo(found.document)
    else:
        show_one(found, VIEW, output)


@app.command("set", epilog="Example: tercio agents config set builder-1 -f config.json --observe 1m")
def set_(
    agent_id: AgentId,
    file: Source,
    merge: Annotated[bool, typer.Option("--merge", help="the file is a merge patch (RFC 7396)")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say whether it would be valid")] = False,
    observe: Observe = "30s",
    no_wait: NoWait = False,
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """Give an agent another configuration, and wait until it was observed or given up."""
    request = pb.UpdateConfigRequest(
        request_id=new_request_id(), agent_id=agent_id, validate_only=dry_run, wait=not no_wait
    )
    setattr(request, "merge_patch" if merge else "document", read(file))
    with checked():
        request.observe_duration.FromTimedelta(texts.parse_duration(observe))

    async def work(fleet: Fleet) -> ConfigRevision:
        patience = _WAIT_S + request.observe_duration.ToTimedelta().total_seconds()
        answer = await fleet.configs.unary(lambda stub: stub.UpdateConfig, request, timeout_s=patience)
        return answer.revision

    show_one(connect.run(address, work), VIEW, output)


@app.command(epilog="Example: tercio agents config rollback builder-1 --revision 3")
def rollback(
    agent_id: AgentId,
    revision: Annotated[int, typer.Option("--revision", min=0, help="which one; 0 is the one before")] = 0,
    observe: Observe = "30s",
    no_wait: NoWait = False,
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """Give an agent the document of an earlier revision again."""
    request = pb.RollbackConfigRequest(
        request_id=new_request_id(), agent_id=agent_id, revision=revision, wait=not no_wait
    )
    with checked():
        request.observe_duration.FromTimedelta(texts.parse_duration(observe))

    async def work(fleet: Fleet) -> ConfigRevision:
        patience = _WAIT_S + request.observe_duration.ToTimedelta().total_seconds()
        answer = await fleet.configs.unary(lambda stub: stub.RollbackConfig, request, timeout_s=patience)
        return answer.revision

    show_one(connect.run(address, work), VIEW, output)


@app.command(epilog="Example: tercio agents config history builder-1 -o wide")
def history(agent_id: AgentId, output: Output = Format.TABLE, address: Address = None) -> None:
    """List the revisions that are kept, the newest first."""

    async def work(fleet: Fleet) -> pb.ListConfigRevisionsResponse:
        request = pb.ListConfigRevisionsRequest(agent_id=agent_id)
        return await fleet.configs.unary(lambda stub: stub.ListConfigRevisions, request, timeout_s=CALL_TIMEOUT_S)

    show_list(list(connect.run(address, work).revisions), VIEW, output)


@app.command(epilog="Example: tercio agents config diff builder-1 --from 3 --to 5")
def diff(
    agent_id: AgentId,
    before: Annotated[int, typer.Option("--from", min=0, help="before; 0 is the one before the other")] = 0,
    after: Annotated[int, typer.Option("--to", min=0, help="after; 0 is the active one")] = 0,
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """Print what differs between two revisions."""

    async def work(fleet: Fleet) -> pb.GetConfigDiffResponse:
        request = pb.GetConfigDiffRequest(agent_id=agent_id, from_revision=before, to_revision=after)
        return await fleet.configs.unary(lambda stub: stub.GetConfigDiff, request, timeout_s=CALL_TIMEOUT_S)

    found = connect.run(address, work)
    if output in {Format.JSON, Format.YAML}:
        print_data(document(found), output)
        return
    for change in found.changes:
        if change.before:
            typer.echo(f"- {change.path or '/'}: {change.before}")
        if change.after:
            typer.echo(f"+ {change.path or '/'}: {change.after}")


@app.command(epilog="Example: tercio agents config schema worker -f schema.json")
def schema(
    agent_type: Annotated[str, typer.Argument(metavar="TYPE", help="the type of agent")],
    file: Annotated[str, typer.Option("--file", "-f", help="set it from this file; - is the standard input")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="remove it: any object is valid then")] = False,
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """Print the JSON Schema of a type of agent, or set it."""

    async def work(fleet: Fleet) -> pb.GetConfigSchemaResponse | pb.SetConfigSchemaResponse:
        if not (file or remove):
            asked = pb.GetConfigSchemaRequest(agent_type=agent_type)
            return await fleet.configs.unary(lambda stub: stub.GetConfigSchema, asked, timeout_s=CALL_TIMEOUT_S)
        text = read(file) if file else ""
        request = pb.SetConfigSchemaRequest(request_id=new_request_id(), agent_type=agent_type, document=text)
        return await fleet.configs.unary(lambda stub: stub.SetConfigSchema, request, timeout_s=CALL_TIMEOUT_S)

    found = connect.run(address, work).schema
    if output in {Format.JSON, Format.YAML}:
        print_data(document(found), output)
    else:
        typer.echo(found.document or "removed")


def read(file: str) -> str:
    """Return the text of a file; `-` is the standard input."""
    if file == "-":
        return sys.stdin.read()
    with checked():
        try:
            return Path(file).read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"{file} cannot be read: {error.strerror}") from error
