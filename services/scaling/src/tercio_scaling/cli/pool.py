"""`tercio pool`: agent pools, how many agents they have, and changes by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from rich.markup import escape

from tercio.api.scaling.v1 import agent_pool_pb2
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio.cli import texts
from tercio.cli.connect import CALL_TIMEOUT_S, Address, Limit, Output
from tercio.cli.output import Column, Format, View, show_list, show_one
from tercio.cli.usage import checked
from tercio.requests import new_request_id
from tercio_scaling.cli import connect
from tercio_scaling.cli.connect import Scaling
from tercio_scaling.cli.explanation import explained
from tercio_scaling.cli.pool_files import parse_pools

app = typer.Typer(
    help="See and change pools of agents: how many there are, and within which bounds.", no_args_is_help=True
)

PoolId = Annotated[str, typer.Argument(metavar="ID", help="the pool")]
File = Annotated[Path, typer.Option("--file", "-f", help="pools and budgets in YAML; - reads standard input")]
Expression = Annotated[str, typer.Option("--filter", help="in the language of AIP-160, e.g. 'desired > 3'")]
Agents = Annotated[int | None, typer.Option("--agents", min=0, help="as many")]
More = Annotated[int | None, typer.Option("--by", help="so many more; negative for fewer")]
Reason = Annotated[str, typer.Option("--reason", help="why, for people")]
Hold = Annotated[str, typer.Option("--hold", help="for so long triggers change nothing, e.g. 30m")]
Wait = Annotated[str, typer.Option("--wait", help="wait for so long until the agents are there, or gone, e.g. 2m")]
Most = Annotated[int, typer.Option("--max", min=0, help="agents that are never exceeded meanwhile")]
StepUp = Annotated[int, typer.Option("--step", min=0, help="most agents that one decision adds; 0 is any number")]
Cost = Annotated[int, typer.Option("--cost-limit", min=0, help="an hour, in millionths of the currency; 0 is none")]
Lasts = Annotated[str, typer.Option("--for", help="how long it lasts, e.g. 1h")]
End = Annotated[bool, typer.Option("--end", help="end it instead")]
KeepAgents = Annotated[bool, typer.Option("--keep-agents", help="forget the pool and leave its agents")]


def _problem(pool: agent_pool_pb2.AgentPool) -> str:
    bad = {"Observed": False, "Driven": False, "Limited": True, "Surging": True, "Held": True, "Paused": True}
    found = [each for each in pool.status.conditions if bad.get(each.type) == each.holds]
    return ", ".join([each.type if each.holds else f"not {each.type}" for each in found])


VIEW: View[agent_pool_pb2.AgentPool] = View(
    name=lambda pool: pool.pool_id,
    nothing="there are no agent pools; `tercio pool apply --help` shows how to make one",
    columns=(
        Column("POOL", lambda pool: escape(pool.pool_id)),
        Column("DRIVER", lambda pool: pool.WhichOneof("driver") or "-"),
        Column("READY", lambda pool: f"{pool.status.ready_count}/{pool.status.desired_count}"),
        Column("LEAVING", lambda pool: str(pool.status.leaving_count)),
        Column("BOUNDS", lambda pool: f"{pool.min_agents}-{pool.max_agents}"),
        Column("WAITING", lambda pool: str(pool.status.observation.waiting_count)),
        Column("STATE", lambda pool: "DELETING" if pool.status.deleting else _problem(pool) or "ok"),
        Column("SLOTS", lambda pool: str(pool.slots), wide=True),
        Column("CAPABILITIES", lambda pool: escape(texts.pairs(pool.capabilities)) or "-", wide=True),
        Column("STARTUP", lambda pool: texts.span(pool.status.startup_time), wide=True),
        Column("BUDGET", lambda pool: escape(pool.budget_id) or "-", wide=True),
        Column("LAST EVENT", lambda pool: escape(pool.status.last_event_id) or "-", wide=True),
    ),
)


@app.command(epilog="Example: tercio pool apply -f pool.yaml")
def apply(file: File, address: Address = None) -> None:
    """Create pools and budgets, or replace what is declared of them."""
    with checked():
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        wanted = list(parse_pools(text))

    async def work(service: Scaling) -> None:
        for each in wanted:
            if isinstance(each, agent_pool_pb2.Budget):
                await service.call("ApplyBudget", pb.ApplyBudgetRequest(request_id=new_request_id(), budget=each))
                typer.echo(f"the budget {each.budget_id} is applied")
            else:
                request = pb.ApplyPoolRequest(request_id=new_request_id(), pool=each)
                answer = await service.call("ApplyPool", request)
                what = "created" if answer.created else "applied"
                typer.echo(f"{each.pool_id} is {what}: {answer.pool.status.desired_count} agents are to be there")

    connect.run(address, work)


@app.command(epilog="Example: tercio pool get coders -o yaml")
def get(pool_id: PoolId, output: Output = Format.WIDE, address: Address = None) -> None:
    """Show one pool."""
    request = pb.GetPoolRequest(pool_id=pool_id)
    pool = connect.run(address, lambda service: service.call("GetPool", request)).pool
    show_one(pool, VIEW, output)
    if output in {Format.TABLE, Format.WIDE}:
        for each in pool.status.conditions:
            if each.message:
                typer.echo(f"{each.type}: {each.message}")
        for victim in pool.status.victims:
            phase = agent_pool_pb2.AgentPool.Victim.Phase.Name(victim.phase).removeprefix("PHASE_")
            typer.echo(f"{victim.agent_id} leaves: {phase}, for {texts.age(victim.choose_time)}")


@app.command("list", epilog="Example: tercio pool list --filter 'paused = false' -o wide")
def list_(
    expression: Expression = "", limit: Limit = 1000, output: Output = Format.TABLE, address: Address = None
) -> None:
    """List pools, in the order of their ids."""
    request = pb.ListPoolsRequest(expression=expression)
    found = connect.run(address, lambda service: service.listed("ListPools", request, "pools", limit=limit))
    show_list(found, VIEW, output)


@app.command(epilog="Example: tercio pool evaluate coders")
def evaluate(pool_id: PoolId, output: Output = Format.TABLE, address: Address = None) -> None:
    """Tell what would be decided now, and why; changes nothing."""
    request = pb.EvaluatePoolRequest(pool_id=pool_id)
    answer = connect.run(address, lambda service: service.call("EvaluatePool", request))
    explained(answer.event, output)


@app.command(epilog="Example: tercio pool scale coders --agents 6 --reason 'release tonight' --hold 2h")
def scale(
    pool_id: PoolId,
    reason: Reason,
    agents: Agents = None,
    by: More = None,
    hold: Hold = "",
    wait: Wait = "",
    address: Address = None,
) -> None:
    """Decide the number of agents by hand, within the pool's bounds."""
    if (agents is None) == (by is None):
        raise typer.BadParameter("give either --agents or --by")
    request = pb.ScalePoolRequest(request_id=new_request_id(), pool_id=pool_id, reason=reason)
    if agents is not None:
        request.agents = agents
    if by is not None:
        request.change = by
    timeout_s = CALL_TIMEOUT_S
    if hold:
        request.hold.CopyFrom(_duration(hold))
    if wait:
        request.wait_timeout.CopyFrom(_duration(wait))
        timeout_s += request.wait_timeout.ToTimedelta().total_seconds()
    answer = connect.run(address, lambda service: service.call("ScalePool", request, timeout_s=timeout_s))
    status = answer.pool.status
    typer.echo(f"{pool_id}: {status.ready_count} of {status.desired_count} agents are there")
    for agent_id in answer.agent_ids:
        typer.echo(agent_id)


@app.command(epilog="Example: tercio pool surge coders --max 20 --for 1h --reason 'incident 42'")
def surge(
    pool_id: PoolId,
    reason: Reason = "",
    most: Most = 0,
    step: StepUp = 0,
    cost_limit: Cost = 0,
    lasts: Lasts = "1h",
    end: End = False,
    address: Address = None,
) -> None:
    """Raise bounds of a pool for a while, or end that."""
    if end:
        ended = pb.EndSurgeRequest(request_id=new_request_id(), pool_id=pool_id)
        connect.run(address, lambda service: service.call("EndSurge", ended))
        typer.echo(f"{pool_id} surges no longer")
        return
    request = pb.SurgePoolRequest(
        request_id=new_request_id(),
        pool_id=pool_id,
        max_agents=most,
        up_step=step,
        cost_limit_micros_per_hour=cost_limit,
        duration=_duration(lasts),
        reason=reason,
    )
    found = connect.run(address, lambda service: service.call("SurgePool", request)).pool.status.surge
    typer.echo(f"{pool_id} may have {found.max_agents} agents until {texts.clock_time(found.expire_time)}")


@app.command(epilog="Example: tercio pool delete coders")
def delete(pool_id: PoolId, keep_agents: KeepAgents = False, address: Address = None) -> None:
    """Have the agents of a pool leave, and then forget it."""
    request = pb.DeletePoolRequest(request_id=new_request_id(), pool_id=pool_id, keep_agents=keep_agents)
    connect.run(address, lambda service: service.call("DeletePool", request))
    typer.echo(f"{pool_id} is deleted" if keep_agents else f"{pool_id} is being deleted: its agents leave first")


def _duration(text: str) -> Duration:
    duration = Duration()
    with checked():
        duration.FromTimedelta(texts.parse_duration(text))
    return duration
