"""Identity and incarnations: who may register under which id."""

from __future__ import annotations

import pytest

from support.registry_machine import Driver
from tercio_common.errors import Refusal
from tercio_registry.state.agents import Profile
from tercio_registry.state.commands import CordonAgent, DeregisterAgent, DrainAgent
from tercio_registry.state.rules import Rules
from tercio_registry.state.views import State

FIRST, SECOND = b"1" * 16, b"2" * 16


def refused(driver: Driver, reason: str, **registration: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        driver.register(**registration)  # type: ignore[arg-type]
    assert caught.value.reason == reason
    return caught.value


def test_a_new_agent_is_healthy_in_its_first_incarnation() -> None:
    driver = Driver()
    shown = driver.register()
    assert (shown.state, shown.row.incarnation) == (State.HEALTHY, 1)
    assert shown.renewed_wall == driver.moment().wall


def test_the_same_process_keeps_its_incarnation_and_may_change_its_profile() -> None:
    driver = Driver()
    driver.register()
    shown = driver.register(profile=Profile(capabilities=(("python", 80),)))
    assert shown.row.incarnation == 1
    assert driver.row().profile.capabilities == (("python", 80),)


def test_a_restarted_agent_gets_the_next_incarnation_and_replaces_its_former_self() -> None:
    driver = Driver()
    driver.register(instance=FIRST)
    assert driver.register(instance=SECOND).row.incarnation == 2
    assert driver.beat(incarnation=1) == "AGENT_REPLACED"
    assert driver.beat(incarnation=2) == ""


def test_an_incarnation_that_was_never_given_is_not_found() -> None:
    driver = Driver()
    driver.register()
    assert driver.beat(incarnation=2) == "AGENT_NOT_FOUND"


def test_another_secret_is_an_impostor_while_the_agent_lives() -> None:
    driver = Driver()
    driver.register(secret="mine")
    refusal = refused(driver, "AGENT_IMPOSTOR", secret="theirs")
    assert refusal.retry_after_ms == 0
    assert driver.row().fingerprint == "mine"


@pytest.mark.parametrize("leave", ["deregister", "vanish"])
def test_another_secret_gets_the_id_only_after_the_retention(leave: str) -> None:
    driver = Driver()
    driver.register(secret="mine")
    if leave == "deregister":
        driver.do(DeregisterAgent(agent_id="a"))
    else:
        driver.listen(4_000)
        assert driver.state() is State.GONE
    refusal = refused(driver, "AGENT_IMPOSTOR", secret="theirs")
    assert 0 < refusal.retry_after_ms <= 60_000
    driver.listen(refusal.retry_after_ms + 1_000)
    assert driver.register(secret="theirs").row.fingerprint == "theirs"


def test_an_id_that_was_evicted_never_repeats_an_incarnation() -> None:
    driver = Driver()
    driver.register(instance=FIRST)
    driver.register(instance=SECOND)
    driver.do(DeregisterAgent(agent_id="a"))
    driver.listen(61_000)
    assert len(driver.machine.agents) == 0
    assert driver.register(secret="another").row.incarnation == 3
    assert driver.beat(incarnation=2) == "AGENT_REPLACED"


@pytest.mark.parametrize("instance", [FIRST, SECOND], ids=["same process", "another process"])
def test_an_agent_that_was_gone_comes_back_as_its_next_incarnation(instance: bytes) -> None:
    driver = Driver()
    driver.register(instance=FIRST)
    driver.listen(4_000)
    assert driver.beat() == "AGENT_GONE"
    shown = driver.register(instance=instance)
    assert (shown.row.incarnation, shown.state) == (2, State.HEALTHY)
    assert shown.row.ended_now == 0


def test_deregistering_ends_the_membership_once() -> None:
    driver = Driver()
    driver.register()
    shown = driver.do(DeregisterAgent(agent_id="a", incarnation=1, reason="shift is over"))
    assert (shown.state, shown.why) == (State.DEREGISTERED, "shift is over")
    before = driver.seq
    assert driver.do(DeregisterAgent(agent_id="a")).state is State.DEREGISTERED
    assert driver.seq == before


def test_a_former_self_cannot_deregister_its_successor() -> None:
    driver = Driver()
    driver.register(instance=FIRST)
    driver.register(instance=SECOND)
    with pytest.raises(Refusal, match="AGENT_REPLACED"):
        driver.do(DeregisterAgent(agent_id="a", incarnation=1))
    with pytest.raises(Refusal, match="AGENT_NOT_FOUND"):
        driver.do(DeregisterAgent(agent_id="a", incarnation=3))
    assert driver.state() is State.HEALTHY


def test_a_cordon_outlives_a_restart_and_a_drain_does_not() -> None:
    driver = Driver()
    driver.register(instance=FIRST)
    driver.do(CordonAgent(agent_id="a", cordoned=True, reason="bad disk"))
    driver.do(DrainAgent(agent_id="a", reason="bad disk"))
    shown = driver.register(instance=SECOND)
    assert (shown.row.cordoned, shown.row.draining) == (True, False)
    assert shown.why == "cordoned: bad disk"


def test_lifting_the_cordon_ends_a_drain() -> None:
    driver = Driver()
    driver.register()
    driver.do(DrainAgent(agent_id="a", reason="roll-out"))
    shown = driver.do(CordonAgent(agent_id="a", cordoned=False))
    assert (shown.row.cordoned, shown.row.draining, shown.why) == (False, False, "")


def test_what_changes_nothing_is_not_recorded() -> None:
    driver = Driver()
    driver.register()
    driver.do(CordonAgent(agent_id="a", cordoned=True, reason="x"))
    driver.do(DrainAgent(agent_id="a", reason="x"))
    before = driver.seq
    driver.do(CordonAgent(agent_id="a", cordoned=True, reason="x"))
    driver.do(DrainAgent(agent_id="a", reason="x"))
    assert driver.seq == before


@pytest.mark.parametrize(
    "command", [CordonAgent(agent_id="a", cordoned=True), DrainAgent(agent_id="a")], ids=["cordon", "drain"]
)
def test_only_an_active_agent_is_cordoned_or_drained(command: object) -> None:
    driver = Driver()
    with pytest.raises(Refusal, match="AGENT_NOT_FOUND"):
        driver.do(command)
    driver.register()
    driver.do(DeregisterAgent(agent_id="a"))
    with pytest.raises(Refusal, match="AGENT_NOT_ACTIVE"):
        driver.do(command)


def test_a_full_registry_refuses_new_agents_but_takes_known_ones_back() -> None:
    driver = Driver(Rules(interval=1_000, max_live_bytes=400))
    driver.register("a")
    driver.register("b")
    refusal = refused(driver, "QUEUE_FULL", agent_id="c")
    assert refusal.retry_after_ms > 0
    assert driver.register("a", instance=SECOND).row.incarnation == 2


def test_a_fleet_takes_no_more_agents_than_it_may_have_and_says_by_how_many() -> None:
    driver = Driver(Rules(interval=1_000, retention=60_000, max_agents=2))
    driver.register("a")
    driver.register("b")
    refusal = refused(driver, "AGENT_LIMIT_REACHED", agent_id="c")
    assert refusal.retry_after_ms > 0
    assert refusal.metadata == {
        "agents.required": "3",
        "agents.available": "2",
        "agents.gap": "1",
        "agents.bound": "fleet",
    }


def test_an_active_agent_comes_anew_in_a_fleet_that_is_over_its_limit() -> None:
    driver = Driver()
    driver.register("a")
    driver.register("b")
    driver.machine.rules = Rules(interval=1_000, retention=60_000, max_agents=1)
    assert driver.register("a", instance=SECOND).row.incarnation == 2
    driver.do(DeregisterAgent(agent_id="b"))
    refused(driver, "AGENT_LIMIT_REACHED", agent_id="b")


@pytest.mark.parametrize("leave", ["deregister", "vanish"])
def test_an_agent_that_left_makes_room_for_another_one(leave: str) -> None:
    driver = Driver(Rules(interval=1_000, retention=60_000, max_agents=1))
    driver.register("a")
    refused(driver, "AGENT_LIMIT_REACHED", agent_id="b")
    if leave == "deregister":
        driver.do(DeregisterAgent(agent_id="a"))
    else:
        driver.listen(4_000)
    assert driver.register("b").state is State.HEALTHY
