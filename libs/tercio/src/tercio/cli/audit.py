"""`tercio audit`: who changed what, and when."""

from __future__ import annotations

import enum
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from tercio.api.type.v1.audit_event_pb2 import AuditEvent, AuditFilter
from tercio.audit import audit_filter
from tercio.cli import connect, texts
from tercio.cli.connect import CALL_TIMEOUT_S, Address, Fleet, Limit, Output
from tercio.cli.output import Column, Format, View, show_change, show_list
from tercio.cli.usage import checked
from tercio.watching import Page, listed

app = typer.Typer(help="See who changed what, and when.", no_args_is_help=True)

_PAGE = 1000


class Service(enum.StrEnum):
    """What `--service` takes."""

    CONFLICTS = "conflicts"
    REGISTRY = "registry"
    RESOURCES = "resources"
    SCALING = "scaling"
    SCHEDULER = "scheduler"


Whose = Annotated[Service, typer.Option("--service", help="whose mutations")]
Principal = Annotated[str, typer.Option("--principal", help="only by this caller")]
Method = Annotated[
    str, typer.Option("--method", help="only by this method, as CancelTask; timer and effect are its own")
]
Request = Annotated[str, typer.Option("--request-id", help="only of this request")]
Since = Annotated[str, typer.Option("--since", help="not before this time, or this long ago: 2026-05-01T12:00Z or 90m")]
Until = Annotated[str, typer.Option("--until", help="before this time, or until this long ago")]

VIEW: View[AuditEvent] = View(
    name=lambda event: str(event.seq),
    nothing="nothing was changed",
    columns=(
        Column("SEQ", lambda event: str(event.seq)),
        Column("TIME", lambda event: texts.clock_time(event.time)),
        Column("PRINCIPAL", lambda event: escape(event.principal)),
        Column("METHOD", lambda event: escape(event.method.rpartition("/")[2])),
        Column("CHANGES", lambda event: ",".join(event.changes)),
        Column("RESOURCES", lambda event: _resources(event)),
        Column("REQUEST", lambda event: escape(event.request_id) or "-", wide=True),
        Column(
            "SESSION", lambda event: f"{event.session_id}:{event.frame_number}" if event.session_id else "-", wide=True
        ),
        Column("EPOCH", lambda event: f"{event.epoch.generation}.{event.epoch.revision}", wide=True),
    ),
)


@app.command("list", epilog="Example: tercio audit list --service registry --since 1h --method DrainAgent")
def list_(
    service: Whose = Service.SCHEDULER,
    principal: Principal = "",
    method: Method = "",
    request_id: Request = "",
    since: Since = "",
    until: Until = "",
    limit: Limit = 100,
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """List mutations, the newest first."""
    chosen = _filter(principal, method, request_id, since, until)

    async def work(fleet: Fleet) -> None:
        found = []
        async for event in _events(fleet, service, chosen, size=min(limit, _PAGE)):
            found.append(event)
            if len(found) == limit:
                break
        show_list(found, VIEW, output)

    connect.run(address, work)


@app.command(epilog="Example: tercio audit export --service scheduler --since 24h > audit.jsonl")
def export(
    service: Whose = Service.SCHEDULER,
    principal: Principal = "",
    method: Method = "",
    request_id: Request = "",
    since: Since = "",
    until: Until = "",
    output: Output = Format.JSON,
    address: Address = None,
) -> None:
    """Print every mutation that is kept, the newest first, one a line, as they are read."""
    chosen = _filter(principal, method, request_id, since, until)

    async def work(fleet: Fleet) -> None:
        async for event in _events(fleet, service, chosen, size=_PAGE):
            show_change(event, VIEW, output)
        sys.stdout.flush()

    connect.run(address, work)


def _events(fleet: Fleet, service: str, chosen: AuditFilter, *, size: int) -> AsyncIterator[AuditEvent]:
    async def page(token: str) -> Page[AuditEvent]:
        return await fleet.audit[service].page(chosen, token, size=size, timeout_s=CALL_TIMEOUT_S)

    return listed(page)


def _filter(principal: str, method: str, request_id: str, since: str, until: str) -> AuditFilter:
    with checked():
        return audit_filter(
            principal=principal, method=method, request_id=request_id, since=_moment(since), until=_moment(until)
        )


def _moment(text: str) -> datetime | None:
    """Read a time, or how long ago it was; without a zone it is local."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC) - texts.parse_duration(text)
    return moment.astimezone(UTC)


def _resources(event: AuditEvent) -> str:
    more = event.resource_count - len(event.resources)
    return escape(",".join(event.resources)) + (f" and {more} more" if more else "") or "-"
