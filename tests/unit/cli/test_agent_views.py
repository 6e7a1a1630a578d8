"""`top` puts those first that need attention, and shows how well they do."""

from __future__ import annotations

import pytest

from tercio.api.registry.v1 import agent_pb2, performance_pb2
from tercio.cli import agent_views
from tercio.cli.output import print_table


def agent(agent_id: str, state: str = "HEALTHY", *, running: int = 0, slots: int = 4) -> agent_pb2.Agent:
    return agent_pb2.Agent(
        agent_id=agent_id,
        state=f"STATE_{state}",
        active_attempts=running,
        concurrency=slots,
        incarnation=1,
        status=agent_pb2.AgentStatus(health=75),
    )


def test_the_sick_come_before_the_busy_and_those_before_the_idle() -> None:
    agents = [
        agent("idle-2"),
        agent("busy", running=3),
        agent("idle-1"),
        agent("late", "DEGRADED"),
        agent("dead", "GONE"),
        agent("new", "UNCONFIRMED", running=4),
        agent("left", "DEREGISTERED"),
        agent("deaf", "UNHEALTHY"),
    ]
    order = [each.agent_id for each in agent_views.ranked(agents)]
    assert order == ["dead", "deaf", "late", "new", "busy", "idle-1", "idle-2", "left"]


def test_every_state_has_a_place() -> None:
    names = [name.removeprefix("STATE_") for name in agent_pb2.Agent.State.keys()[1:]]
    assert {each.agent_id for each in agent_views.ranked(agent(name, name) for name in names)} == set(names)


def test_a_row_of_top_has_load_and_performance(capsys: pytest.CaptureFixture[str]) -> None:
    performance = performance_pb2.AgentPerformance(succeeded=9, failed=1, success_ratio=0.9)
    performance.task_types.add(task_type="t")
    performance.average_duration.FromMilliseconds(250)
    view = agent_views.top({"a": performance})
    print_table([agent("a", running=1), agent("b")], view, wide=False)
    title, first, second = capsys.readouterr().out.splitlines()
    assert title.split() == ["AGENT", "STATE", "HEALTH", "LOAD", "RUNNING", "DONE", "FAILED", "SUCCESS", "MEAN", "SEEN"]
    assert first.split() == ["a", "HEALTHY", "75%", "25%", "1/4", "9", "1", "90%", "250ms", "-"]
    assert second.split() == ["b", "HEALTHY", "75%", "0%", "0/4", "0", "0", "-", "-", "-"]
