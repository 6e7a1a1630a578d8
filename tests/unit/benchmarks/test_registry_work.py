"""A heartbeat costs the registry no more in a large fleet: calls are counted, whose number no busy machine changes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.growth.registry_state import SimulatedRegistry
from tercio_registry.state import heartbeats
from tercio_registry.state.session import Session

FEW, MANY = 500, 2_000


def calls_of(work: Callable[[], object]) -> int:
    """Return how many functions were called meanwhile, of Python and of C alike."""
    count = 0

    def note(_frame: object, event: str, _arg: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def calls_a_heartbeat(agents: int) -> float:
    """Return what each agent costs over an interval in which it beats once, with the timers of its lease."""
    registry = SimulatedRegistry(agents)
    registry.interval()
    idle = calls_of(SimulatedRegistry(0).interval)
    return (calls_of(registry.interval) - idle) / agents


def test_a_heartbeat_takes_as_many_calls_with_many_agents_as_with_few() -> None:
    few, many = calls_a_heartbeat(FEW), calls_a_heartbeat(MANY)
    assert many / few < 1.1, (few, many)
    assert many < 60, "a heartbeat and its timers have become costlier; look whether that is worth it"


def test_work_that_grows_with_the_fleet_would_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = heartbeats.receive

    def receive_and_look(agents: Any, *arguments: Any, session: Session, **fields: Any) -> object:
        for agent_id in list(session._renewals)[::25]:
            agents.get(agent_id)
        return receive(agents, *arguments, session=session, **fields)

    monkeypatch.setattr(heartbeats, "receive", receive_and_look)
    assert calls_a_heartbeat(MANY // 2) / calls_a_heartbeat(FEW // 2) > 1.1
