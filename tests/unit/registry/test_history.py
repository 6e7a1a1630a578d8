"""What became of an agent can be told afterwards, up to a bound."""

from __future__ import annotations

from support.registry_machine import Driver
from tercio_registry.state.commands import CordonAgent
from tercio_registry.state.history import MOST_TRANSITIONS
from tercio_registry.state.views import State


def told(driver: Driver) -> list[tuple[State, str]]:
    return [(each.state, each.reason) for each in driver.machine.history.of("a")]


def test_each_change_of_state_or_duty_is_kept_with_its_reason() -> None:
    driver = Driver()
    driver.register()
    driver.do(CordonAgent(agent_id="a", cordoned=True, reason="disk"))
    driver.listen(3_100)
    driver.register()
    states = [state for state, _ in told(driver)]
    assert states == [
        State.HEALTHY,
        State.HEALTHY,
        State.DEGRADED,
        State.UNHEALTHY,
        State.GONE,
        State.HEALTHY,
    ]
    assert told(driver)[0][1] == "registered"
    assert told(driver)[1][1] == "cordoned: disk"
    assert "no heartbeat" in told(driver)[4][1]
    assert driver.machine.history.of("a")[-1].incarnation == 2


def test_heartbeats_and_take_overs_are_no_changes() -> None:
    driver = Driver()
    driver.register()
    driver.take_over()
    driver.listen(500)
    driver.beat()
    assert len(told(driver)) == 1


def test_only_the_last_changes_are_kept() -> None:
    driver = Driver()
    driver.register()
    for number in range(30):
        driver.do(CordonAgent(agent_id="a", cordoned=True, reason=str(number)))
        driver.do(CordonAgent(agent_id="a", cordoned=False))
    assert len(told(driver)) == MOST_TRANSITIONS
    assert told(driver)[-2][1] == "cordoned: 29"
