"""Lists, filters, pages."""

from __future__ import annotations

import pytest

from support.registry_machine import Driver
from tercio_registry.state.agents import Profile
from tercio_registry.state.commands import CordonAgent, DeregisterAgent, DrainAgent
from tercio_registry.state.filters import AgentFilter, compile_expression
from tercio_registry.state.listing import Page, list_agents
from tercio_registry.state.views import State


def listed(driver: Driver, selected: AgentFilter, *, after: str = "", size: int = 100) -> Page:
    machine = driver.machine
    return list_agents(
        machine.agents,
        machine.order,
        driver.moment(),
        session=driver.session,
        selected=selected,
        after=after,
        size=size,
    )


def ids(page: Page) -> list[str]:
    return [agent.row.agent_id for agent in page.agents]


@pytest.fixture
def driver() -> Driver:
    driver = Driver()
    python = Profile(agent_type="worker", capabilities=(("python", 80), ("rust", 20)), labels=(("zone", "b"),))
    rust = Profile(agent_type="worker", capabilities=(("rust", 90),), labels=(("gpu", "no"), ("zone", "a")))
    driver.register("c", profile=python)
    driver.register("a", profile=rust)
    driver.register("b", profile=Profile(agent_type="reviewer"))
    driver.register("gone")
    driver.do(DeregisterAgent(agent_id="gone"))
    driver.beat("b", active_attempts=1)
    return driver


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        pytest.param(AgentFilter(), ["a", "b", "c"], id="present ones in the order of their ids"),
        pytest.param(AgentFilter(states=frozenset({State.DEREGISTERED})), ["gone"], id="by state"),
        pytest.param(AgentFilter(capabilities=(("rust", 20),)), ["a", "c"], id="at least this level"),
        pytest.param(AgentFilter(capabilities=(("rust", 21), ("python", 1))), [], id="every capability"),
        pytest.param(AgentFilter(labels=(("zone", "a"),)), ["a"], id="by label"),
        pytest.param(AgentFilter(agent_type="reviewer"), ["b"], id="by type"),
        *(
            pytest.param(AgentFilter(expression=compile_expression(text)), expected, id=text)
            for text, expected in (
                ("id = a OR id = c", ["a", "c"]),
                ("type = work*", ["a", "c"]),
                ("version = ''", ["a", "b", "c"]),
                ("capabilities.rust >= 21", ["a"]),
                ("NOT capabilities:rust", ["b"]),
                ("labels.zone = b OR labels:gpu", ["a", "c"]),
                ("state = DEREGISTERED", ["gone"]),
                ("state != HEALTHY", ["gone"]),
                ("cordoned = true", []),
                ("draining = false AND concurrency = 1", ["a", "b", "c"]),
                ("load > 0.5", ["b"]),
                ('register_time > "2023-11-14T22:13:20Z"', []),
                ('register_time >= "2023-11-14T22:13:20Z"', ["a", "b", "c"]),
            )
        ),
    ],
)
def test_filters(driver: Driver, selected: AgentFilter, expected: list[str]) -> None:
    assert ids(listed(driver, selected)) == expected


def test_pages_cover_everything_once_even_while_agents_come_and_go(driver: Driver) -> None:
    first = listed(driver, AgentFilter(), size=1)
    assert (ids(first), first.after) == (["a"], "a")
    driver.register("0-before")
    driver.register("b2-after")
    second = listed(driver, AgentFilter(), after=first.after, size=2)
    third = listed(driver, AgentFilter(), after=second.after, size=2)
    assert ids(second) + ids(third) == ["b", "b2-after", "c"]
    assert third.after == ""


def test_the_census_counts_what_a_list_shows(driver: Driver) -> None:
    counts = driver.machine.census.by_state(driver.epoch)
    assert (counts[State.HEALTHY], counts[State.DEREGISTERED]) == (3, 1)
    driver.take_over()
    counts = driver.machine.census.by_state(driver.epoch)
    assert (counts[State.HEALTHY], counts[State.UNCONFIRMED], counts[State.DEREGISTERED]) == (0, 3, 1)


def test_the_reason_says_what_an_operator_asked(driver: Driver) -> None:
    driver.do(CordonAgent(agent_id="a", cordoned=True))
    assert driver.view("a").why == "cordoned"
    driver.do(DrainAgent(agent_id="a", reason="new image"))
    assert driver.view("a").why == "draining: new image"
    driver.take_over()
    assert driver.view("a").why == "the present leader has not heard the agent yet; draining: new image"
