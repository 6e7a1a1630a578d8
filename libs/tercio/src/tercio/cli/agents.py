"""`tercio agents`: who is registered, and who takes work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from tercio.api.registry.v1 import (
    agent_pb2,
    performance_pb2,
    performance_service_pb2,
    registration_pb2,
    registry_service_pb2,
)
from tercio.cli import agent_views, configs, connect, texts
from tercio.cli.connect import CALL_TIMEOUT_S, Address, Fleet, Limit, Output
from tercio.cli.output import (
    Format,
    MessageT,
    View,
    console,
    print_facts,
    print_table,
    show_change,
    show_one,
    table_of,
)
from tercio.cli.texts import parse_duration
from tercio.cli.usage import checked, choices
from tercio.requests import new_request_id

app = typer.Typer(help="See who is registered, and stop or allow new work for an agent.", no_args_is_help=True)
app.add_typer(configs.app, name="config")

_MOST_AGENTS = 10_000
"""Looked at for one frame of `top`."""
_LEAST_INTERVAL_S = 0.1

AgentId = Annotated[str, typer.Argument(metavar="ID", help="the agent")]
Reason = Annotated[str, typer.Option("--reason", help="why, for people")]
State = Annotated[list[str] | None, typer.Option("--state", help="only this state; may be repeated")]
Capability = Annotated[
    list[str] | None, typer.Option("--capability", help="only with this capability, at this level; may be repeated")
]
Expression = Annotated[
    str, typer.Option("--filter", help="in the language of AIP-160, e.g. 'capabilities.python >= 3 AND load < 0.5'")
]


@app.command("list", epilog="Example: tercio agents list --capability python=50 -o wide")
def list_(
    state: State = None,
    capability: Capability = None,
    expression: Expression = "",
    limit: Limit = 1000,
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """List agents, in the order of their ids."""
    chosen = _filter(state, capability)
    chosen.expression = expression
    connect.show_pages(
        address,
        lambda fleet, token, size: _page(fleet, chosen, token, size),
        agent_views.AGENT,
        limit=limit,
        output=output,
    )


@app.command(epilog="Example: tercio agents top --interval 1s")
def top(
    state: State = None,
    capability: Capability = None,
    expression: Expression = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="at most this many rows")] = 40,
    interval: Annotated[str, typer.Option("--interval", help="how often to look, e.g. 500ms or 2s")] = "2s",
    once: Annotated[bool, typer.Option("--once", help="print one frame, as without a terminal")] = False,
    address: Address = None,
) -> None:
    """Show who needs attention and who is busiest, again and again until Ctrl-C."""
    chosen = _filter(state, capability)
    chosen.expression = expression
    with checked():
        interval_s = parse_duration(interval).total_seconds()

    async def work(fleet: Fleet) -> None:
        screen = console()
        if once or not screen.is_terminal:
            screen.print(await _frame(fleet, chosen, limit))
            return
        with Live(await _frame(fleet, chosen, limit), console=screen, auto_refresh=False, screen=True) as live:
            while True:
                await asyncio.sleep(max(interval_s, _LEAST_INTERVAL_S))
                live.update(await _frame(fleet, chosen, limit), refresh=True)

    connect.run(address, work)


@app.command(epilog="Example: tercio agents get builder-1 -o yaml")
def get(agent_id: AgentId, output: Output = Format.WIDE, address: Address = None) -> None:
    """Show one agent."""
    show_one(connect.run(address, lambda fleet: _get(fleet, agent_id)), agent_views.AGENT, output)


@app.command(epilog="Example: tercio agents describe builder-1")
def describe(agent_id: AgentId, address: Address = None) -> None:
    """Tell all that is known of one agent, for people."""
    found, performance = connect.run(address, lambda fleet: _everything(fleet, agent_id))
    agent = found.agent
    print_facts(
        {
            "Agent": escape(agent.agent_id),
            "State": agent_views.state(agent),
            "Why": escape(agent.state_reason),
            "Status": agent_views.status(agent),
            "Type": escape(agent.agent_type),
            "Version": escape(agent.version),
            "Capabilities": escape(texts.pairs(agent.capabilities)),
            "Labels": escape(texts.pairs(agent.labels)),
            "Slots": f"{agent.concurrency}, {agent.active_attempts} in use",
            "Requires": escape(texts.amounts(agent.resource_requirements)),
            "At most": escape(texts.amounts(agent.max_resources)),
            "Configuration": f"revision {agent.config_revision}" if agent.config_revision else "",
            "Started": texts.clock_time(agent.start_time),
            "Registered": texts.clock_time(agent.register_time),
            "Renewed": texts.clock_time(agent.renew_time),
            "Incarnation": str(agent.incarnation),
            "Confirmed by": f"epoch {agent.confirmed_epoch.generation}.{agent.confirmed_epoch.revision}",
            **_usage(performance),
            **{f"Registration {name}": escape(what) for name, what in _phases(found.registration)},
        }
    )
    _print_section(found.transitions, agent_views.TRANSITION)
    _print_section(performance.task_types, agent_views.PERFORMANCE)


def _usage(performance: performance_pb2.AgentPerformance) -> dict[str, str]:
    """Return what the agent uses and how well; only what is known."""
    used = performance.resource_usage
    return {
        "CPU": f"{used.cpu_ratio:.2f} cores" if used.cpu_ratio else "",
        "CPU efficiency": f"{performance.cpu_efficiency:.0%} of what it requires"
        if performance.HasField("cpu_efficiency")
        else "",
        "Memory": _share(used.memory_used_bytes, used.memory_limit_bytes),
        "Disk": _share(used.disk_used_bytes, used.disk_total_bytes),
        "Waiting": str(used.queue_length) if performance.HasField("resource_usage") else "",
        "Efficiency": f"{performance.efficiency:.0%} of the fleet's pace" if performance.task_types else "",
    }


def _share(used: int, limit: int) -> str:
    return f"{used / limit:.0%} of {limit >> 20} MB" if limit else ""


def _print_section(messages: Sequence[MessageT], view: View[MessageT]) -> None:
    if messages:
        console().print()
        print_table(messages, view, wide=True)


def _phases(report: registration_pb2.RegistrationReport) -> Iterator[tuple[str, str]]:
    """Give each phase with what it did and how long it took; none when another leader registered the agent."""
    for step in report.phases:
        name = registration_pb2.RegistrationReport.Phase.Name(step.phase).removeprefix("PHASE_").lower()
        yield name, f"{step.duration.ToMicroseconds() / 1000:.2f} ms: {step.detail}"


@app.command(epilog="Example: tercio agents watch -o json | jq -r '.agent_id + \" \" + .state'")
def watch(
    state: State = None, capability: Capability = None, output: Output = Format.TABLE, address: Address = None
) -> None:
    """Print the agents and then every change, until Ctrl-C."""
    chosen = _filter(state, capability)

    async def work(fleet: Fleet) -> None:
        await _page(fleet, chosen, "", 1)
        async for agent in fleet.client.watch_agents(
            states=chosen.states, capabilities=chosen.capabilities, existing=True
        ):
            show_change(agent, agent_views.AGENT, output)

    connect.run(address, work)


@app.command(epilog="Example: tercio agents cordon builder-1 --reason 'disk is full'")
def cordon(agent_id: AgentId, reason: Reason = "", address: Address = None) -> None:
    """Stop new work for an agent; what it runs goes on."""
    _cordon(agent_id, cordoned=True, reason=reason, address=address)


@app.command(epilog="Example: tercio agents uncordon builder-1")
def uncordon(agent_id: AgentId, reason: Reason = "", address: Address = None) -> None:
    """Allow new work for an agent again."""
    _cordon(agent_id, cordoned=False, reason=reason, address=address)


@app.command(epilog="Example: tercio agents drain builder-1 --reason 'maintenance'")
def drain(agent_id: AgentId, reason: Reason = "", address: Address = None) -> None:
    """Ask an agent to finish its work and leave."""

    async def work(fleet: Fleet) -> agent_pb2.Agent:
        request = registry_service_pb2.DrainAgentRequest(request_id=new_request_id(), agent_id=agent_id, reason=reason)
        answer = await fleet.agents.unary(lambda stub: stub.DrainAgent, request, timeout_s=CALL_TIMEOUT_S)
        return answer.agent

    typer.echo(f"{connect.run(address, work).agent_id} drains: it finishes its work and leaves")


def _cordon(agent_id: str, *, cordoned: bool, reason: str, address: str | None) -> None:
    async def work(fleet: Fleet) -> agent_pb2.Agent:
        request = registry_service_pb2.CordonAgentRequest(
            request_id=new_request_id(), agent_id=agent_id, cordoned=cordoned, reason=reason
        )
        answer = await fleet.agents.unary(lambda stub: stub.CordonAgent, request, timeout_s=CALL_TIMEOUT_S)
        return answer.agent

    agent = connect.run(address, work)
    typer.echo(f"{agent.agent_id} {'takes no new work' if agent.cordoned else 'takes work again'}")


def _filter(state: list[str] | None, capability: list[str] | None) -> registry_service_pb2.AgentFilter:
    with checked():
        return registry_service_pb2.AgentFilter(
            states=choices(state or [], agent_pb2.Agent.State, prefix="STATE_"),
            capabilities=texts.parse_capabilities(capability or []),
        )


async def _get(fleet: Fleet, agent_id: str) -> agent_pb2.Agent:
    return (await _found(fleet, agent_id)).agent


async def _everything(
    fleet: Fleet, agent_id: str
) -> tuple[registry_service_pb2.GetAgentResponse, performance_pb2.AgentPerformance]:
    request = performance_service_pb2.GetAgentPerformanceRequest(agent_id=agent_id)
    found = await _found(fleet, agent_id)
    answer = await fleet.performance.unary(lambda stub: stub.GetAgentPerformance, request, timeout_s=CALL_TIMEOUT_S)
    return found, answer.performance


async def _frame(fleet: Fleet, chosen: registry_service_pb2.AgentFilter, limit: int) -> Table:
    """Return the table of `top` as it is now."""
    agents = await connect.pages(lambda token, size: _page(fleet, chosen, token, size), limit=_MOST_AGENTS)
    performances = await connect.pages(lambda token, size: _performances(fleet, token, size), limit=_MOST_AGENTS)
    by_agent = {each.agent_id: each for each in performances}
    return table_of(agent_views.ranked(agents)[:limit], agent_views.top(by_agent))


async def _performances(fleet: Fleet, token: str, size: int) -> tuple[list[performance_pb2.AgentPerformance], str]:
    request = performance_service_pb2.ListAgentPerformanceRequest(page_size=size, page_token=token)
    answer = await fleet.performance.unary(lambda stub: stub.ListAgentPerformance, request, timeout_s=CALL_TIMEOUT_S)
    return list(answer.performances), answer.next_page_token


async def _found(fleet: Fleet, agent_id: str) -> registry_service_pb2.GetAgentResponse:
    request = registry_service_pb2.GetAgentRequest(agent_id=agent_id)
    return await fleet.agents.unary(lambda stub: stub.GetAgent, request, timeout_s=CALL_TIMEOUT_S)


async def _page(
    fleet: Fleet, chosen: registry_service_pb2.AgentFilter, token: str, size: int
) -> tuple[list[agent_pb2.Agent], str]:
    request = registry_service_pb2.ListAgentsRequest(page_size=size, page_token=token, filter=chosen)
    answer = await fleet.agents.unary(lambda stub: stub.ListAgents, request, timeout_s=CALL_TIMEOUT_S)
    return list(answer.agents), answer.next_page_token
