"""How agents, what they do and what became of them are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from rich.markup import escape

from tercio.api.registry.v1 import agent_pb2, performance_pb2
from tercio.cli import texts
from tercio.cli.output import Column, View

_COLOURS: Final = {"HEALTHY": "green", "DEGRADED": "yellow", "UNCONFIRMED": "yellow", "UNHEALTHY": "red", "GONE": "red"}
_WORST_FIRST: Final = ("GONE", "UNHEALTHY", "DEGRADED", "UNCONFIRMED", "HEALTHY", "DEREGISTERED")


def state_name(agent: agent_pb2.Agent | agent_pb2.AgentTransition) -> str:
    """Return the state without its prefix."""
    return agent_pb2.Agent.State.Name(agent.state).removeprefix("STATE_")


def state(agent: agent_pb2.Agent | agent_pb2.AgentTransition) -> str:
    """Return the state in its colour, with what the agent is asked to do."""
    name = state_name(agent)
    colour = _COLOURS.get(name)
    extra = " (draining)" if agent.draining else " (cordoned)" if agent.cordoned else ""
    return (f"[{colour}]{name}[/{colour}]" if colour else name) + extra


def status(agent: agent_pb2.Agent) -> str:
    """Return the agent's status in numbers."""
    found = agent.status
    answers = found.availability == agent_pb2.AgentStatus.AVAILABILITY_AVAILABLE
    return f"{'available' if answers else 'unavailable'}, health {found.health}%, load {found.load}%"


AGENT: View[agent_pb2.Agent] = View(
    name=lambda agent: agent.agent_id,
    nothing="no agents are registered; `tercio agent exec --help` shows how to start one",
    columns=(
        Column("AGENT", lambda agent: escape(agent.agent_id)),
        Column("STATE", state),
        Column("TYPE", lambda agent: escape(agent.agent_type) or "-"),
        Column("SLOTS", lambda agent: str(agent.concurrency)),
        Column("CAPABILITIES", lambda agent: escape(texts.pairs(agent.capabilities)) or "-"),
        Column("SEEN", lambda agent: texts.age(agent.renew_time)),
        Column("HEALTH", lambda agent: f"{agent.status.health}%", wide=True),
        Column("REGISTERED", lambda agent: texts.age(agent.register_time), wide=True),
        Column("VERSION", lambda agent: escape(agent.version) or "-", wide=True),
        Column("INCARNATION", lambda agent: str(agent.incarnation), wide=True),
        Column("CONFIG", lambda agent: str(agent.config_revision or "-"), wide=True),
        Column("LABELS", lambda agent: escape(texts.pairs(agent.labels)) or "-", wide=True),
        Column("WHY", lambda agent: escape(agent.state_reason) or "-", wide=True),
    ),
)


def measures(found: Iterable[performance_pb2.Measure]) -> str:
    """Return what handlers measured, on the average."""
    return ", ".join(f"{each.name} {each.average:.3g}" for each in found)


PERFORMANCE: View[performance_pb2.TaskTypePerformance] = View(
    name=lambda each: each.task_type,
    nothing="",
    columns=(
        Column("TASK TYPE", lambda each: escape(each.task_type)),
        Column("SUCCEEDED", lambda each: str(each.succeeded)),
        Column("FAILED", lambda each: str(each.failed)),
        Column("SUCCESS", lambda each: f"{each.success_ratio:.0%}"),
        Column("MEAN", lambda each: texts.span(each.average_duration) if each.HasField("average_duration") else "-"),
        Column("EFFICIENCY", lambda each: f"{each.efficiency:.0%}"),
        Column("SCORE", lambda each: f"{each.score:.0%}"),
        Column("MEASURES", lambda each: escape(measures(each.measures)) or "-"),
    ),
)

TRANSITION: View[agent_pb2.AgentTransition] = View(
    name=state_name,
    nothing="",
    columns=(
        Column("SINCE", lambda each: texts.clock_time(each.time)),
        Column("STATE", state),
        Column("INCARNATION", lambda each: str(each.incarnation)),
        Column("WHY", lambda each: escape(each.reason) or "-"),
    ),
)


def load(agent: agent_pb2.Agent) -> float:
    """Return the share of an agent's slots that are in use."""
    return min(1.0, agent.active_attempts / max(1, agent.concurrency))


def ranked(agents: Iterable[agent_pb2.Agent]) -> list[agent_pb2.Agent]:
    """Put those first that need attention: by state, then by load, then by id."""
    return sorted(agents, key=lambda agent: (_WORST_FIRST.index(state_name(agent)), -load(agent), agent.agent_id))


def top(performances: Mapping[str, performance_pb2.AgentPerformance]) -> View[agent_pb2.Agent]:
    """Return how agents are shown side by side with how well they do, by agent."""
    nothing = performance_pb2.AgentPerformance()

    def of(agent: agent_pb2.Agent) -> performance_pb2.AgentPerformance:
        return performances.get(agent.agent_id, nothing)

    def mean(agent: agent_pb2.Agent) -> str:
        return texts.span(of(agent).average_duration) if of(agent).HasField("average_duration") else "-"

    return View(
        name=AGENT.name,
        nothing=AGENT.nothing,
        columns=(
            *AGENT.columns[:2],
            Column("HEALTH", lambda agent: f"{agent.status.health}%"),
            Column("LOAD", lambda agent: f"{load(agent):4.0%}"),
            Column("RUNNING", lambda agent: f"{agent.active_attempts}/{agent.concurrency}"),
            Column("DONE", lambda agent: str(of(agent).succeeded)),
            Column("FAILED", lambda agent: str(of(agent).failed)),
            Column("SUCCESS", lambda agent: f"{of(agent).success_ratio:.0%}" if of(agent).task_types else "-"),
            Column("MEAN", mean),
            Column("SEEN", lambda agent: texts.age(agent.renew_time)),
        ),
    )
