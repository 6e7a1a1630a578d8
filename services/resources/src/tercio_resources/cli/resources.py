"""`tercio resources`: how what is granted is used, what tasks will use, when pools run out, what to take back."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from tercio.api.resources.v1 import forecast_pb2, usage_pb2
from tercio.api.resources.v1 import usage_service_pb2 as pb
from tercio.api.resources.v1.usage_service_pb2_grpc import UsageServiceStub
from tercio.cli import texts
from tercio.cli.connect import Address, Limit, Output
from tercio.cli.output import Column, Format, View, show_list, show_one
from tercio.cli.usage import checked, choices
from tercio.requests import new_request_id
from tercio_resources.cli import connect

app = typer.Typer(help="See how resources are used, and take back what is not.", no_args_is_help=True)

TaskType = Annotated[str, typer.Argument(metavar="TYPE", help="what the task is")]
Label = Annotated[list[str] | None, typer.Option("--label", help="KEY=VALUE; may be repeated")]
CanGrow = Annotated[bool, typer.Option("--can-grow", help="for grants that are resized when they need more")]
Apply = Annotated[bool, typer.Option("--apply", help="do it; without this it is only shown")]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", help="reclaim, shrink or compact; may be repeated; reclaim and shrink if absent"),
]

EFFICIENCIES: View[usage_pb2.Efficiency] = View(
    name=lambda each: each.dimension,
    nothing="no holder reports what it uses",
    columns=(
        Column("DIMENSION", lambda each: escape(each.dimension)),
        Column("GRANTED", lambda each: str(each.granted)),
        Column("USED", lambda each: str(each.used)),
        Column("EFFICIENCY", lambda each: _percent(each.per_mille)),
        Column("TARGET", lambda each: "[red]missed[/red]" if each.below_target else "met"),
    ),
)
USAGES: View[usage_pb2.Usage] = View(
    name=lambda each: str(each.allocation_id),
    nothing="no holder reports what it uses",
    columns=(
        Column("ALLOCATION", lambda each: str(each.allocation_id)),
        Column("OWNER", lambda each: escape(each.owner)),
        Column("TASK", lambda each: escape(each.task_type) or "-"),
        Column("USED", lambda each: escape(", ".join(map(_used, each.parts)))),
        Column("REPORTED", lambda each: texts.age(each.report_time)),
        Column("REPORTS", lambda each: str(each.report_count), wide=True),
        Column("PEAKS", lambda each: escape(", ".join(f"{p.dimension} {p.peak}" for p in each.parts)), wide=True),
    ),
)
PREDICTION: View[usage_pb2.Prediction] = View(
    name=lambda each: texts.amounts(each.amounts),
    nothing="nothing is predicted",
    columns=(
        Column("AMOUNTS", lambda each: escape(texts.amounts(each.amounts))),
        Column("TASKS", lambda each: str(each.task_count) if each.task_count else "none; from the settings"),
        Column("ERROR", lambda each: _percent(each.error_per_mille)),
    ),
)
FORECASTS: View[forecast_pb2.Forecast] = View(
    name=lambda each: each.pool_id,
    nothing="there are no pools",
    columns=(
        Column("POOL", lambda each: escape(each.pool_id)),
        Column("GRANTED", lambda each: f"{each.granted} of {each.grantable}"),
        Column("UNIT", lambda each: escape(each.unit)),
        Column("GROWTH", lambda each: f"{each.growth_per_hour:+} an hour"),
        Column("EXHAUSTED", lambda each: texts.clock_time(each.exhaust_time) if each.HasField("exhaust_time") else "-"),
        Column("SAMPLES", lambda each: str(each.sample_count), wide=True),
    ),
)
PROPOSALS: View[usage_pb2.Proposal] = View(
    name=lambda each: str(each.allocation_id),
    nothing="nothing can be taken back",
    columns=(
        Column("KIND", lambda each: usage_pb2.Proposal.Kind.Name(each.kind).removeprefix("KIND_")),
        Column("ALLOCATION", lambda each: str(each.allocation_id)),
        Column("OWNER", lambda each: escape(each.owner)),
        Column("POOL", lambda each: escape(each.pool_id)),
        Column("FREED", lambda each: escape(texts.amounts([each.freed]))),
        Column("REASON", lambda each: escape(each.reason)),
    ),
)


@app.command(epilog="Example: tercio resources efficiency -o json")
def efficiency(output: Output = Format.TABLE, address: Address = None) -> None:
    """Show of each dimension how much of what is granted is used."""
    answer = connect.run(
        address, lambda service: service.call("GetEfficiency", pb.GetEfficiencyRequest()), stub=UsageServiceStub
    )
    show_list(list(answer.efficiencies), EFFICIENCIES, output)


@app.command(epilog="Example: tercio resources usage --limit 20 -o wide")
def usage(limit: Limit = 1000, output: Output = Format.TABLE, address: Address = None) -> None:
    """List what holders use of their allocations."""
    request = pb.ListUsagesRequest()
    found = connect.listed(address, "ListUsages", request, "usages", limit=limit, stub=UsageServiceStub)
    show_list(found, USAGES, output)


@app.command(epilog="Example: tercio resources predict compile --label language=rust")
def predict(
    task_type: TaskType,
    label: Label = None,
    can_grow: CanGrow = False,
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """Predict what a task will use."""
    with checked():
        labels = texts.parse_pairs(label or [], what="label")
    request = pb.GetPredictionRequest(task_type=task_type, labels=labels, adaptive_buffer=can_grow)
    answer = connect.run(address, lambda service: service.call("GetPrediction", request), stub=UsageServiceStub)
    show_one(answer.prediction, PREDICTION, output)


@app.command(epilog="Example: tercio resources forecast -o json")
def forecast(limit: Limit = 1000, output: Output = Format.TABLE, address: Address = None) -> None:
    """Show when pools run out, if what is granted grows as lately."""
    request = pb.ListForecastsRequest()
    found = connect.listed(address, "ListForecasts", request, "forecasts", limit=limit, stub=UsageServiceStub)
    show_list(found, FORECASTS, output)


@app.command(epilog="Example: tercio resources optimize --kind shrink --apply")
def optimize(kind: Kinds = None, apply: Apply = False, output: Output = Format.TABLE, address: Address = None) -> None:
    """Show what could be taken back and why, or take it back."""
    with checked():
        kinds = choices(kind or [], usage_pb2.Proposal.Kind, prefix="KIND_")
    request = pb.OptimizeRequest(request_id=new_request_id(), validate_only=not apply, kinds=kinds)
    answer = connect.run(address, lambda service: service.call("Optimize", request), stub=UsageServiceStub)
    show_list(list(answer.proposals), PROPOSALS, output)


def _percent(per_mille: int) -> str:
    return f"{per_mille / 10:g} %"


def _used(part: usage_pb2.Usage.Part) -> str:
    return f"{part.dimension} {part.used} of {part.granted}"
