"""`tercio agents`: who is registered, and who takes work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.markup import escape

from tercio.api.registry.v1 import agent_pb2, registration_pb2, registry_service_pb2
from tercio.cli import connect, texts
from tercio.cli.connect import CALL_TIMEOUT_S, Address, Fleet, Limit, Output
from tercio.cli.output import Column, Format, View, print_facts, show_change, show_list, show_one
from tercio.cli.usage import checked, choices
from tercio.requests import new_request_id

app = typer.Typer(help="See who is registered, and stop or allow new work for an agent.", no_args_is_help=True)

_COLOURS = {"HEALTHY": "green", "DEGRADED": "yellow", "UNCONFIRMED": "yellow", "UNHEALTHY": "red", "GONE": "red"}

AgentId = Annotated[str, typer.Argument(metavar="ID", help="the agent")]
Reason = Annotated[str, typer.Option("--reason", help="why, for people")]
State = Annotated[list[str] | None, typer.Option("--state", help="only this state; may be repeated")]
Capability = Annotated[
    list[str] | None, typer.Option("--capability", help="only with this capability, at this level; may be repeated")
]
Expression = Annotated[
    str, typer.Option("--filter", help="in the language of AIP-160, e.g. 'capabilities.python >= 3 AND load < 0.5'")
]


def state_name(agent: agent_pb2.Agent) -> str:
    """Return the state without its prefix."""
    return agent_pb2.Agent.State.Name(agent.state).removeprefix("STATE_")


def _state(agent: agent_pb2.Agent) -> str:
    name = state_name(agent)
    colour = _COLOURS.get(name)
    extra = " (draining)" if agent.draining else " (cordoned)" if agent.cordoned else ""
    return (f"[{colour}]{name}[/{colour}]" if colour else name) + extra


VIEW: View[agent_pb2.Agent] = View(
    name=lambda agent: agent.agent_id,
    nothing="no agents are registered; `tercio agent exec --help` shows how to start one",
    columns=(
        Column("AGENT", lambda agent: escape(agent.agent_id)),
        Column("STATE", _state),
        Column("TYPE", lambda agent: escape(agent.agent_type) or "-"),
        Column("SLOTS", lambda agent: str(agent.concurrency)),
        Column("CAPABILITIES", lambda agent: escape(texts.pairs(agent.capabilities)) or "-"),
        Column("SEEN", lambda agent: texts.age(agent.renew_time)),
        Column("REGISTERED", lambda agent: texts.age(agent.register_time), wide=True),
        Column("VERSION", lambda agent: escape(agent.version) or "-", wide=True),
        Column("INCARNATION", lambda agent: str(agent.incarnation), wide=True),
        Column("LABELS", lambda agent: escape(texts.pairs(agent.labels)) or "-", wide=True),
        Column("WHY", lambda agent: escape(agent.state_reason) or "-", wide=True),
    ),
)


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

    async def work(fleet: Fleet) -> None:
        agents = await connect.pages(lambda token, size: _page(fleet, chosen, token, size), limit=limit)
        show_list(agents, VIEW, output)

    connect.run(address, work)


@app.command(epilog="Example: tercio agents get builder-1 -o yaml")
def get(agent_id: AgentId, output: Output = Format.WIDE, address: Address = None) -> None:
    """Show one agent."""
    show_one(connect.run(address, lambda fleet: _get(fleet, agent_id)), VIEW, output)


@app.command(epilog="Example: tercio agents describe builder-1")
def describe(agent_id: AgentId, address: Address = None) -> None:
    """Tell all that is known of one agent, for people."""
    found = connect.run(address, lambda fleet: _found(fleet, agent_id))
    agent = found.agent
    print_facts(
        {
            "Agent": escape(agent.agent_id),
            "State": _state(agent),
            "Why": escape(agent.state_reason),
            "Type": escape(agent.agent_type),
            "Version": escape(agent.version),
            "Capabilities": escape(texts.pairs(agent.capabilities)),
            "Labels": escape(texts.pairs(agent.labels)),
            "Slots": f"{agent.concurrency}, {agent.active_attempts} in use",
            "Requires": escape(texts.amounts(agent.resource_requirements)),
            "At most": escape(texts.amounts(agent.max_resources)),
            "Started": texts.clock_time(agent.start_time),
            "Registered": texts.clock_time(agent.register_time),
            "Renewed": texts.clock_time(agent.renew_time),
            "Incarnation": str(agent.incarnation),
            "Confirmed by": f"epoch {agent.confirmed_epoch.generation}.{agent.confirmed_epoch.revision}",
            **{f"Registration {name}": escape(what) for name, what in _phases(found.registration)},
        }
    )


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
            show_change(agent, VIEW, output)

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


async def _found(fleet: Fleet, agent_id: str) -> registry_service_pb2.GetAgentResponse:
    request = registry_service_pb2.GetAgentRequest(agent_id=agent_id)
    return await fleet.agents.unary(lambda stub: stub.GetAgent, request, timeout_s=CALL_TIMEOUT_S)


async def _page(
    fleet: Fleet, chosen: registry_service_pb2.AgentFilter, token: str, size: int
) -> tuple[list[agent_pb2.Agent], str]:
    request = registry_service_pb2.ListAgentsRequest(page_size=size, page_token=token, filter=chosen)
    answer = await fleet.agents.unary(lambda stub: stub.ListAgents, request, timeout_s=CALL_TIMEOUT_S)
    return list(answer.agents), answer.next_page_token
