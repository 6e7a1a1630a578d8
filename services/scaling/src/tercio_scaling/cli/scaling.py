"""`tercio scaling`: what was decided and why, what is foreseen, and several pools at once."""

from __future__ import annotations

from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from rich.markup import escape

from tercio.api.scaling.v1 import agent_pool_pb2, forecast_pb2, scaling_metrics_pb2
from tercio.api.scaling.v1 import coordinated_scaling_pb2 as coordinated
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio.cli import texts
from tercio.cli.connect import CALL_TIMEOUT_S, Address, Limit, Output
from tercio.cli.output import Column, Format, View, print_data, show_change, show_list
from tercio.cli.output import document as document_of
from tercio.cli.usage import checked
from tercio.requests import new_request_id
from tercio_scaling.cli import connect, following
from tercio_scaling.cli.connect import Scaling
from tercio_scaling.cli.explanation import VIEW, explained

app = typer.Typer(help="See why pools have as many agents as they have, and what is foreseen.", no_args_is_help=True)

PoolId = Annotated[str, typer.Argument(metavar="POOL", help="the pool")]
Pool = Annotated[str, typer.Option("--pool", help="only of this pool")]
Expression = Annotated[str, typer.Option("--filter", help="in the language of AIP-160, e.g. 'kind = SCALED_UP'")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="go on with what happens from now on")]
EventId = Annotated[str, typer.Argument(metavar="EVENT", help="POOL/NUMBER, as `events -o wide` shows it")]
Targets = Annotated[
    list[str], typer.Argument(metavar="POOL[=AGENTS]...", help="without a number: what its triggers want")
]
Reason = Annotated[str, typer.Option("--reason", help="why, for people")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="tell what would be done, and change nothing")]
Wait = Annotated[str, typer.Option("--wait", help="wait for so long until the agents are there, or gone, e.g. 2m")]
Intervals = Annotated[int, typer.Option("--intervals", min=0, max=288, help="how many of 5 minutes ahead")]

POINTS: View[forecast_pb2.Forecast.Point] = View(
    name=lambda point: texts.clock_time(point.end_time),
    nothing="nothing was counted yet: the first interval of 5 minutes has not ended",
    columns=(
        Column("UNTIL", lambda point: texts.clock_time(point.end_time)),
        Column("ACTUAL", lambda point: str(point.actual_count) if point.HasField("actual_count") else "-"),
        Column("FORECAST", lambda point: f"{point.expected_count:.1f}" if point.HasField("expected_count") else "-"),
        Column("LAST VALUE", lambda point: f"{point.plain_count:.0f}" if point.HasField("plain_count") else "-"),
    ),
)
METRICS: View[scaling_metrics_pb2.ScalingMetrics] = View(
    name=lambda each: each.pool_id,
    nothing="there are no agent pools",
    columns=(
        Column("POOL", lambda each: escape(each.pool_id)),
        Column("READY", lambda each: f"{each.ready_count}/{each.desired_count}"),
        Column("BUSY", lambda each: f"{each.utilisation:.0%}"),
        Column("UP", lambda each: str(each.up_count)),
        Column("DOWN", lambda each: str(each.down_count)),
        Column("REFUSED", lambda each: str(each.refused_count)),
        Column("FLAPS", lambda each: str(each.flap_count)),
        Column("RESPONSE", lambda each: texts.span(each.mean_response_time)),
        Column("STARTUP", lambda each: texts.span(each.startup_time)),
        Column("COST AN HOUR", lambda each: f"{each.cost_micros_per_hour / 1e6:g}"),
    ),
)
STEPS: View[coordinated.ScalingStrategy.Step] = View(
    name=lambda step: step.pool_id,
    nothing="nothing is to be done",
    columns=(
        Column("POOL", lambda step: escape(step.pool_id)),
        Column("AGENTS", lambda step: f"{step.before_count} -> {step.after_count}"),
        Column("LIMITS", lambda step: ", ".join([each.name for each in step.limits]) or "-"),
    ),
)
BUDGETS: View[agent_pool_pb2.Budget] = View(
    name=lambda budget: budget.budget_id,
    nothing="there are no budgets; `tercio pool apply --help` shows how to make one",
    columns=(
        Column("BUDGET", lambda budget: escape(budget.budget_id)),
        Column("AGENTS", lambda budget: f"{budget.agent_count}/{budget.max_agents or '-'}"),
        Column("COST AN HOUR", lambda budget: f"{budget.cost_micros_per_hour / 1e6:g}"),
        Column(
            "LIMIT",
            lambda budget: f"{budget.cost_limit_micros_per_hour / 1e6:g}" if budget.cost_limit_micros_per_hour else "-",
        ),
        Column("POOLS", lambda budget: escape(", ".join(budget.pool_ids)) or "-"),
    ),
)


@app.command(epilog="Example: tercio scaling events --pool coders -f")
def events(
    pool: Pool = "",
    expression: Expression = "",
    follow: Follow = False,
    limit: Limit = 50,
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """List what was decided and what happened, the newest first; or follow it."""
    parts = [f"({expression})"] if expression else []
    wanted = " AND ".join([*parts, *([f'pool = "{pool}"'] if pool else [])])

    async def listed(service: Scaling) -> None:
        request = pb.ListScalingEventsRequest(expression=wanted)
        show_list(await service.listed("ListScalingEvents", request, "events", limit=limit), VIEW, output)

    async def followed(service: Scaling) -> None:
        async for event in following.follow(service.remote, wanted):
            show_change(event, VIEW, output)

    connect.run(address, followed if follow else listed)


@app.command(epilog="Example: tercio scaling explain coders/12")
def explain(event_id: EventId, output: Output = Format.TABLE, address: Address = None) -> None:
    """Show one event with all that it was drawn from."""
    pool_id, _, _ = event_id.rpartition("/")
    request = pb.ListScalingEventsRequest(expression=f'pool = "{pool_id}"')
    found = connect.run(address, lambda service: service.listed("ListScalingEvents", request, "events", limit=10_000))
    event = next((each for each in found if each.event_id == event_id), None)
    if event is None:
        raise typer.BadParameter(f"no event {event_id!r} is kept; list them")
    explained(event, output)


@app.command(epilog="Example: tercio scaling forecast coders --intervals 12")
def forecast(pool_id: PoolId, intervals: Intervals = 0, output: Output = Format.TABLE, address: Address = None) -> None:
    """Show how many tasks were foreseen, how many came, and how many are foreseen."""
    request = pb.GetForecastRequest(pool_id=pool_id, interval_count=intervals)
    found = connect.run(address, lambda service: service.call("GetForecast", request)).forecast
    if output in {Format.JSON, Format.YAML}:
        print_data(document_of(found), output)
        return
    show_list(found.points, POINTS, output)
    heard = "is heard" if found.trusted else "is not heard until it beats the last value"
    typer.echo(
        f"off by {found.mean_error:.1f} on average, the last value by {found.plain_mean_error:.1f}, "
        f"over {found.compared_count} intervals: the forecast {heard}"
    )


@app.command(epilog="Example: tercio scaling metrics -o json")
def metrics(pool: Pool = "", output: Output = Format.TABLE, address: Address = None) -> None:
    """Show how the scaling of each pool goes."""
    request = pb.GetScalingMetricsRequest(pool_id=pool)
    found = connect.run(address, lambda service: service.call("GetScalingMetrics", request)).metrics
    show_list(found, METRICS, output)


@app.command(epilog="Example: tercio scaling coordinate coders=6 testers=2 --reason 'release' --dry-run")
def coordinate(
    targets: Targets,
    reason: Reason,
    dry_run: DryRun = False,
    wait: Wait = "",
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """Scale several pools at once, so that together they stay within what they share."""
    request = pb.CoordinateScalingRequest(request_id=new_request_id(), reason=reason, dry_run=dry_run)
    timeout_s = CALL_TIMEOUT_S
    with checked():
        request.targets.extend([_target(text) for text in targets])
        if wait:
            lasts = texts.parse_duration(wait)
            request.wait_timeout.CopyFrom(Duration(seconds=int(lasts.total_seconds())))
            timeout_s += lasts.total_seconds()
    answer = connect.run(address, lambda service: service.call("CoordinateScaling", request, timeout_s=timeout_s))
    if output in {Format.JSON, Format.YAML}:
        print_data(document_of(answer), output)
        return
    show_list(answer.scaling_strategy.steps, STEPS, output)
    for result in answer.scaling_validation.results:
        if result.message and not dry_run:
            typer.echo(f"{result.pool_id}: {result.message}")


@app.command(epilog="Example: tercio scaling budgets")
def budgets(limit: Limit = 1000, output: Output = Format.TABLE, address: Address = None) -> None:
    """List what pools may have together."""
    request = pb.ListBudgetsRequest()
    found = connect.run(address, lambda service: service.listed("ListBudgets", request, "budgets", limit=limit))
    show_list(found, BUDGETS, output)


@app.command("delete-budget", epilog="Example: tercio scaling delete-budget nightly")
def delete_budget(
    budget_id: Annotated[str, typer.Argument(metavar="ID", help="the budget")], address: Address = None
) -> None:
    """Forget a budget that no pool names."""
    request = pb.DeleteBudgetRequest(request_id=new_request_id(), budget_id=budget_id)
    connect.run(address, lambda service: service.call("DeleteBudget", request))
    typer.echo(f"the budget {budget_id} is deleted")


def _target(text: str) -> pb.CoordinateScalingRequest.Target:
    pool_id, separator, agents = text.partition("=")
    if not pool_id or (separator and not agents.isdigit()):
        raise ValueError(f"{text!r} is not a target: write POOL or POOL=AGENTS with a whole number")
    return pb.CoordinateScalingRequest.Target(pool_id=pool_id, agents=int(agents) if separator else None)
