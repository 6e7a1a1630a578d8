"""`tercio conflicts`: what agents disagree about, how it ends, and the inbox of what waits for people."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from tercio.api.conflicts.v1 import conflict_pb2, severity_pb2
from tercio.api.conflicts.v1 import conflict_service_pb2 as pb
from tercio.cli import texts
from tercio.cli.connect import Address, Limit, Output, pages
from tercio.cli.output import Column, Format, View, show_list, show_one
from tercio.requests import new_request_id
from tercio_conflicts.cli import connect
from tercio_conflicts.cli.connect import Conflicts

app = typer.Typer(help="See conflicts between agents, and end those that wait for people.", no_args_is_help=True)

ConflictId = Annotated[str, typer.Argument(metavar="ID", help="the conflict")]
Expression = Annotated[str, typer.Option("--filter", help="in the language of AIP-160, e.g. 'severity = HIGH'")]
Escalated = Annotated[bool, typer.Option("--escalated", help="only those that wait for people")]
Resolution = Annotated[str, typer.Option("--because", help="what ended it, for people")]
Prevails = Annotated[int, typer.Option("--prevails", min=0, help="of a disagreement the decision that counts")]
Reason = Annotated[str, typer.Option("--reason", help="why people are to look at it")]

_COLOURS = {"OPEN": "yellow", "RESOLVING": "cyan", "ESCALATED": "red", "RESOLVED": "green"}
_ESCALATED = "state = ESCALATED"


def _state(conflict: conflict_pb2.Conflict) -> str:
    name = conflict_pb2.Conflict.State.Name(conflict.state).removeprefix("STATE_")
    shown = f"{name}, OVERDUE" if conflict.escalation.overdue and name == "ESCALATED" else name
    return f"[{_COLOURS[name]}]{shown}[/{_COLOURS[name]}]" if name in _COLOURS else shown


def _severity(conflict: conflict_pb2.Conflict) -> str:
    return severity_pb2.Severity.Name(conflict.conflict_analysis.severity).removeprefix("SEVERITY_")


def _about(conflict: conflict_pb2.Conflict) -> str:
    context = conflict.conflict_analysis.context
    return next((context[key] for key in ("resource", "topic", "task", "role", "waiting") if key in context), "-")


VIEW: View[conflict_pb2.Conflict] = View(
    name=lambda conflict: conflict.conflict_id,
    nothing="there are no such conflicts",
    columns=(
        Column("CONFLICT", lambda conflict: escape(conflict.conflict_id)),
        Column("STATE", _state),
        Column("SEVERITY", _severity),
        Column("TYPE", lambda conflict: escape(conflict.conflict_analysis.type)),
        Column("ABOUT", lambda conflict: escape(_about(conflict))),
        Column("AGENTS", lambda conflict: escape(", ".join(conflict.conflict_analysis.agent_ids)) or "-"),
        Column("RAISED", lambda conflict: texts.age(conflict.raise_time)),
        Column("BY", lambda conflict: escape(conflict.resolution_strategy) or "-", wide=True),
        Column("ENDED", lambda conflict: escape(conflict.resolution) or "-", wide=True),
    ),
)


@app.command("list", epilog="Example: tercio conflicts list --escalated")
def list_(
    expression: Expression = "",
    escalated: Escalated = False,
    limit: Limit = 1000,
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """List conflicts, in the order of their ids."""
    both = f"({expression}) AND {_ESCALATED}" if expression else _ESCALATED
    wanted = both if escalated else expression

    async def work(service: Conflicts) -> list[conflict_pb2.Conflict]:
        async def page(token: str, size: int) -> tuple[list[conflict_pb2.Conflict], str]:
            request = pb.ListConflictsRequest(page_size=size, page_token=token, expression=wanted)
            answer = await service.call("ListConflicts", request)
            return list(answer.conflicts), answer.next_page_token

        return await pages(page, limit=limit)

    show_list(connect.run(address, work), VIEW, output)


@app.command(epilog="Example: tercio conflicts show technical_conflict_0123456789abcdef")
def show(conflict_id: ConflictId, output: Output = Format.TABLE, address: Address = None) -> None:
    """Show a conflict: what it is about, what was tried, and what is left to decide."""
    request = pb.GetConflictRequest(conflict_id=conflict_id)
    conflict = connect.run(address, lambda service: service.call("GetConflict", request)).conflict
    show_one(conflict, VIEW, output)
    if output is Format.TABLE:
        for line in _details(conflict):
            typer.echo(line)


@app.command(epilog="Example: tercio conflicts resolve ID --because 'we run it already' --prevails 1024")
def resolve(conflict_id: ConflictId, because: Resolution, prevails: Prevails = 0, address: Address = None) -> None:
    """End a conflict by hand; of a disagreement, say which decision counts."""
    request = pb.ResolveConflictRequest(
        request_id=new_request_id(), conflict_id=conflict_id, resolution=because, prevailing_decision_id=prevails
    )
    conflict = connect.run(address, lambda service: service.call("ResolveConflict", request)).conflict
    typer.echo(f"{conflict.conflict_id} is resolved: {conflict.resolution}")


@app.command(epilog="Example: tercio conflicts escalate ID --reason 'the agents go in circles'")
def escalate(conflict_id: ConflictId, reason: Reason, address: Address = None) -> None:
    """Ask people to end a conflict, without waiting for strategies."""
    request = pb.EscalateConflictRequest(request_id=new_request_id(), conflict_id=conflict_id, reason=reason)
    conflict = connect.run(address, lambda service: service.call("EscalateConflict", request)).conflict
    typer.echo(f"{conflict.conflict_id} waits for people: {conflict.escalation.reason}")


def _details(conflict: conflict_pb2.Conflict) -> list[str]:
    lines = []
    for decision in conflict.conflict_analysis.decisions:
        who = f"{decision.agent_id} ({decision.role})" if decision.role else decision.agent_id
        lines.append(f"decision {decision.decision_id}: {who}: {decision.subject}: {decision.choice}")
    for attempt in conflict.resolution_execution:
        outcome = conflict_pb2.Conflict.Attempt.Outcome.Name(attempt.outcome).removeprefix("OUTCOME_")
        lines.append(f"tried {attempt.strategy}: {outcome}: {attempt.message}")
    if conflict.HasField("escalation"):
        lines.append(f"waits for people: {conflict.escalation.reason}")
        lines.append(f"  tercio conflicts resolve {conflict.conflict_id} --because '...' --prevails DECISION")
    return lines
