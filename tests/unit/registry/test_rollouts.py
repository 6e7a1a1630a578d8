"""Roll-outs: a few agents at a time, and back when too many fail."""

from __future__ import annotations

import json
from dataclasses import replace
from unittest.mock import Mock

import pytest

from support.configuring import OBSERVE, ConfigDriver
from tercio_common.errors import Refusal
from tercio_common.filtering.grammar import FilterError
from tercio_common.machine.protocol import Tick
from tercio_common.machine.system_tasks import Result
from tercio_registry.state import rollouts
from tercio_registry.state.agents import Profile
from tercio_registry.state.commands import RegisterAgent
from tercio_registry.state.config_commands import CancelRollout, Change, PauseRollout, StartRollout
from tercio_registry.state.rules import Rules

AGENTS = ("a", "b", "c", "d", "e")


@pytest.fixture
def driver() -> ConfigDriver:
    made = ConfigDriver()
    for agent_id in AGENTS:
        made.join(agent_id, agent_type="web" if agent_id < "d" else "db")
        made.beat(agent_id)
        made.settle({"port": 1}, agent_id)
    return made


def under_way(driver: ConfigDriver) -> list[str]:
    return [agent_id for agent_id in AGENTS if driver.open_task(agent_id) is not None]


def answer_all(driver: ConfigDriver, **fields: object) -> None:
    for agent_id in under_way(driver):
        driver.answer(agent_id, **fields)  # type: ignore[arg-type]


def test_it_goes_on_once_the_agents_of_a_step_were_observed(driver: ConfigDriver) -> None:
    driver.start({"port": 2})
    assert under_way(driver) == ["a", "b"]
    answer_all(driver)
    driver.listen_well(OBSERVE - 1_000, *AGENTS)
    assert under_way(driver) == []
    driver.listen_well(2_000, *AGENTS)
    assert under_way(driver) == ["c", "d"]
    answer_all(driver)
    driver.listen_well(OBSERVE + 1_000, *AGENTS)
    answer_all(driver)
    driver.listen_well(OBSERVE + 1_000, *AGENTS)
    row = driver.rollout()
    assert (row.state.name, row.succeeded, row.failed) == ("SUCCEEDED", 5, 0)
    assert all(driver.active(agent_id) == {"port": 2} for agent_id in AGENTS)


def test_a_filter_a_patch_and_a_percentage_choose_what_is_changed(driver: ConfigDriver) -> None:
    driver.start({"host": "h"}, filter='type = "web"', step_size=0, percent=50, observe=0)
    driver.do(PauseRollout("r", paused=True))
    assert under_way(driver) == ["a", "b"]
    driver.do(CancelRollout("r"))
    assert driver.rollout().state.name == "CANCELLED"


def test_between_two_steps_it_waits(driver: ConfigDriver) -> None:
    driver.start({"port": 2}, observe=0, pause=5_000)
    answer_all(driver)
    driver.listen_well(4_000, *AGENTS)
    assert under_way(driver) == []
    driver.listen_well(2_000, *AGENTS)
    assert under_way(driver) == ["c", "d"]


def test_it_stops_itself_when_more_fail_than_may(driver: ConfigDriver) -> None:
    driver.start({"port": 2}, observe=0)
    driver.answer("a")
    driver.answer("b", result=Result.FAILED, why="no")
    row = driver.rollout()
    assert (row.state.name, row.succeeded, row.failed) == ("FAILED", 1, 1)
    assert row.failures == (("b", 2, "CONFIGURATION_APPLY_FAILED"),)
    assert driver.active("a") == {"port": 2}
    assert driver.active("b") == {"port": 1}


def test_it_takes_back_what_it_changed_when_it_is_told_to(driver: ConfigDriver) -> None:
    driver.start({"port": 2}, observe=0, rolls_back=True)
    answer_all(driver)
    driver.answer("c")
    driver.answer("d", result=Result.FAILED, why="no")
    row = driver.rollout()
    assert (row.state.name, row.succeeded, row.failed, row.restored) == ("ROLLED_BACK", 3, 1, 3)
    answer_all(driver)
    assert all(driver.active(agent_id) == {"port": 1} for agent_id in AGENTS)
    assert driver.states("a") == ["SUPERSEDED", "ROLLED_BACK", "ACTIVE"]
    assert driver.revision(2, "a").reason == "ROLLOUT_ROLLED_BACK"


def test_an_agent_that_degrades_counts_as_failed(driver: ConfigDriver) -> None:
    driver.start({"port": 2})
    answer_all(driver)
    driver.listen_well(OBSERVE + 1_000, *AGENTS[1:])
    assert driver.rollout().failures == (("a", 2, "CONFIG_REGRESSION"),)
    assert driver.rollout().state.name == "FAILED"


def test_some_failures_are_put_up_with(driver: ConfigDriver) -> None:
    driver.start({"port": 2}, observe=0, max_failures=1)
    driver.answer("a")
    driver.answer("b", result=Result.FAILED, why="no")
    driver.answer("b")
    assert under_way(driver) == ["c", "d"]


def test_an_agent_whose_schema_does_not_allow_it_counts_as_failed(driver: ConfigDriver) -> None:
    driver.schema("web")
    driver.start({"port": 0}, observe=0)
    assert driver.rollout().failures == (("a", 0, "INVALID_CONFIGURATION"), ("b", 0, "INVALID_CONFIGURATION"))
    assert driver.rollout().state.name == "FAILED"


def test_an_agent_takes_part_in_one_roll_out_at_a_time(driver: ConfigDriver) -> None:
    driver.start({"port": 2})
    driver.start({"port": 3}, rollout_id="s", step_size=1)
    assert driver.rollout("s").failures == (("a", 0, "CONFIGURATION_CONFLICT"),)


def test_a_pause_lets_no_further_step_begin(driver: ConfigDriver) -> None:
    driver.start({"port": 2}, observe=0)
    driver.do(PauseRollout("r", paused=True))
    answer_all(driver)
    assert under_way(driver) == []
    driver.do(PauseRollout("r", paused=False))
    driver.tick()
    assert under_way(driver) == ["c", "d"]


def test_what_is_over_cannot_be_paused_and_what_is_not_there_not_at_all(driver: ConfigDriver) -> None:
    driver.start({"port": 2})
    driver.do(CancelRollout("r"))
    driver.do(CancelRollout("r"))
    with pytest.raises(Refusal, match="ROLLOUT_STATE_CONFLICT"):
        driver.do(PauseRollout("r", paused=True))
    with pytest.raises(Refusal, match="ROLLOUT_NOT_FOUND"):
        driver.do(CancelRollout("none"))


def test_it_goes_on_under_the_next_leader(driver: ConfigDriver) -> None:
    driver.start({"port": 2}, observe=0)
    driver.answer("a")
    driver.take_over()
    driver.tick()
    driver.answer("b")
    driver.take_over()
    driver.tick()
    assert under_way(driver) == ["c", "d"]


def test_a_new_leader_that_has_not_heard_the_agents_yet_leaves_none_out(driver: ConfigDriver) -> None:
    driver.start({"port": 2}, filter="state = HEALTHY", observe=0)
    driver.take_over()
    driver.tick()
    answer_all(driver)
    assert under_way(driver) == ["c", "d"]


def test_roll_outs_over_the_limit_of_the_registry_are_refused(driver: ConfigDriver) -> None:
    driver.machine.rules = replace(driver.rules, max_live_bytes=driver.machine.live_bytes + 100)
    with pytest.raises(Refusal, match="QUEUE_FULL"):
        driver.start({"text": "x" * 200})


def test_a_schema_that_is_costly_to_check_holds_no_record_for_long() -> None:
    driver = ConfigDriver(Rules(interval=1_000_000, retention=10_000_000))
    levels = {f"l{n}": {"anyOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(40)} | {"l40": False}
    driver.schema("web", json.dumps({"$ref": "#/$defs/l0", "$defs": levels}))
    for number in range(100):
        driver.do(
            RegisterAgent(
                agent_id=f"a{number:03}", profile=Profile(agent_type="web"), fingerprint="f", instance_id=b"1" * 16
            )
        )
    driver.start({"port": 1}, step_size=100)
    assert driver.rollout().failed == 100
    assert driver.seq - driver.rollout().created_seq == 6, "twenty a record, and one that ends the step"


def test_a_roll_out_that_fails_is_tried_again_and_then_set_aside_by_name(driver: ConfigDriver) -> None:
    driver.do(StartRollout(rollout_id="r", filter="type =", step_size=1, change=Change("{}")))
    for limit in (1_000, 1):
        assert driver.machine.next_due() == driver.now
        with pytest.raises(FilterError):
            driver.do(Tick(limit))
        driver.machine.tables.rollback()
        driver.now += 1
    assert driver.machine.set_aside_due() == "the configuration or roll-out 'r'"
    assert driver.machine.next_due() != driver.now


def test_a_percentage_is_found_out_on_a_part_of_a_fleet_that_is_too_large_for_the_filter(
    driver: ConfigDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(400):
        driver.register(f"many-{number:03}", profile=Profile(agent_type="odd" if number % 2 else "even"))
    matches = Mock(wraps=driver.machine.configuring.rollouts._matches)
    monkeypatch.setattr(driver.machine.configuring.rollouts, "_matches", matches)
    monkeypatch.setattr(rollouts, "_COUNTED", 200)
    driver.do(
        StartRollout(
            rollout_id="r", filter='type = "odd"', change=Change("{}"), step_size=0, percent=50, observe=OBSERVE
        )
    )
    assert matches.call_count == 100, "a comparison makes an agent twice as costly"
    assert 75 <= driver.rollout().step_size <= 125, "half of two hundred"
