"""What is reserved for agents, in the pure state, and how their requirements are asked for."""

from __future__ import annotations

import pytest

from support.configuring import ConfigDriver
from support.registry_machine import Driver
from tercio_common.errors import Refusal
from tercio_registry.requirements import in_pools
from tercio_registry.settings import ReservationSettings
from tercio_registry.state.agents import Ailment, Amount, Health, Profile
from tercio_registry.state.commands import (
    BeginRegistration,
    CloseRegistrations,
    DeregisterAgent,
    JudgeReservations,
    RegisterAgent,
)
from tercio_registry.state.obligations import Stage
from tercio_registry.state.reservations import keepable
from tercio_registry.state.revisions import RevisionState
from tercio_registry.state.views import State

NEEDY = Profile(resource_requirements=(Amount("cpu", 100),))


def join(
    driver: Driver, registration_id: str, *, profile: Profile = NEEDY, agent_id: str = "a", keeps: str = ""
) -> None:
    driver.do(BeginRegistration(registration_id))
    driver.do(
        RegisterAgent(
            agent_id=agent_id,
            profile=profile,
            fingerprint="f",
            instance_id=registration_id.encode() * 8,
            registration_id=registration_id,
            reservation_id=keeps,
        )
    )


def stages(driver: Driver) -> dict[str, Stage]:
    assert {*driver.machine.obligations.table.values()} == {*driver.reloaded().obligations.table.values()}
    return {row.registration_id: row.stage for row in driver.machine.obligations.table.values()}


def test_only_active_agents_that_require_something_hold_a_reservation() -> None:
    driver = Driver()
    join(driver, "r1")
    join(driver, "r2", profile=Profile(), agent_id="b")
    join(driver, "r3", profile=Profile(resource_requirements=(Amount("cpu", 0),)), agent_id="c")
    driver.register("d", profile=NEEDY)
    assert driver.machine.reservations.held() == ["r1"]
    driver.do(DeregisterAgent(agent_id="a"))
    assert driver.machine.reservations.held() == []


def test_a_lost_reservation_degrades_the_agent_until_it_is_restored() -> None:
    driver = Driver()
    join(driver, "r1")
    driver.do(JudgeReservations(lost=("r1", "unknown")))
    assert (driver.state(), driver.row().ailments) == (State.DEGRADED, (Ailment.RESERVATION_LOST,))
    assert driver.view().why == "what was reserved for it is gone"
    assert driver.machine.reservations.lost() == driver.machine.reservations.held() == ["r1"]
    seq = driver.seq
    driver.do(JudgeReservations(lost=("r1",)))
    assert driver.seq == seq
    driver.do(JudgeReservations(restored=("r1", "unknown")))
    assert (driver.state(), driver.machine.reservations.lost()) == (State.HEALTHY, [])


def test_a_loss_outlives_the_leader_and_ends_when_the_agent_registers_again() -> None:
    driver = Driver()
    join(driver, "r1")
    driver.do(JudgeReservations(lost=("r1",)))
    driver.take_over()
    assert driver.machine.reservations.lost() == driver.reloaded().reservations.lost() == ["r1"]
    join(driver, "r2")
    assert (driver.row().incarnation, driver.row().ailments) == (2, ())
    assert (driver.machine.reservations.held(), driver.machine.reservations.lost()) == (["r2"], [])


def test_the_next_process_keeps_what_the_former_reserved_and_nothing_that_it_was_cleared_for() -> None:
    driver = Driver()
    join(driver, "r1")
    join(driver, "r2", keeps="r1")
    assert stages(driver) == {"r1": Stage.HANDED_ON, "r2": Stage.HELD}
    assert (driver.machine.reservations.held(), driver.machine.obligations.loose()) == (["r1"], ["r1"])
    driver.do(CloseRegistrations(("r1",)))  # nobody releases what was handed on
    assert stages(driver)["r1"] is Stage.HANDED_ON
    driver.do(CloseRegistrations(("r1",), keeps_reservations=True))
    assert (stages(driver)["r1"], driver.machine.obligations.loose()) == (Stage.KEPT, [])
    join(driver, "r3", keeps="r1")
    assert stages(driver) == {"r1": Stage.KEPT, "r2": Stage.DUE, "r3": Stage.HELD}
    driver.take_over()
    driver.do(DeregisterAgent(agent_id="a"))
    assert set(stages(driver).values()) == {Stage.DUE}
    assert driver.machine.reservations.held() == []


def test_what_ends_while_its_clearance_is_taken_back_is_undone_as_a_whole() -> None:
    driver = Driver()
    join(driver, "r1")
    join(driver, "r2", keeps="r1")
    driver.do(DeregisterAgent(agent_id="a"))
    driver.do(CloseRegistrations(("r1",), keeps_reservations=True))
    assert stages(driver) == {"r1": Stage.DUE, "r2": Stage.DUE}


def test_a_process_with_a_reservation_of_its_own_gives_back_the_one_that_was_kept() -> None:
    driver = Driver()
    join(driver, "r1")
    join(driver, "r2", keeps="r1")
    join(driver, "r3", profile=Profile(resource_requirements=(Amount("cpu", 200),)))
    assert stages(driver) == {"r1": Stage.DUE, "r2": Stage.DUE, "r3": Stage.HELD}
    assert driver.machine.reservations.held() == ["r3"]


def test_a_kept_reservation_is_lost_and_restored_under_its_own_name() -> None:
    driver = Driver()
    join(driver, "r1")
    join(driver, "r2", keeps="r1")
    driver.do(JudgeReservations(lost=("r1", "r2")))
    assert driver.machine.reservations.lost() == ["r1"]
    assert keepable(driver.row(), "f", NEEDY) == ""
    driver.do(JudgeReservations(restored=("r1",)))
    assert (driver.state(), keepable(driver.row(), "f", NEEDY)) == (State.HEALTHY, "r1")


@pytest.mark.parametrize(
    "happens",
    [
        pytest.param(DeregisterAgent(agent_id="a"), id="it left"),
        pytest.param(JudgeReservations(lost=("r1",)), id="it was lost"),
    ],
)
def test_what_is_gone_before_it_is_kept_is_refused_and_changes_nothing(happens: object) -> None:
    driver = Driver()
    join(driver, "r1")
    driver.do(happens)
    with pytest.raises(Refusal, match="REGISTRATION_EXCEPTION"):
        join(driver, "r2", keeps="r1")
    assert stages(driver)["r2"] is Stage.BEGUN


def test_only_the_same_agent_with_the_same_requirements_keeps_a_reservation() -> None:
    driver = Driver()
    join(driver, "r1")
    assert keepable(driver.row(), "f", NEEDY) == "r1"
    assert keepable(driver.row(), "another secret", NEEDY) == ""
    assert keepable(driver.row(), "f", Profile(resource_requirements=(Amount("cpu", 99),))) == ""
    assert keepable(None, "f", NEEDY) == ""
    with pytest.raises(Refusal, match="REGISTRATION_EXCEPTION"):
        join(driver, "r2", keeps="r1", profile=Profile())


def test_what_was_lost_by_a_former_incarnation_concerns_nobody() -> None:
    driver = Driver()
    join(driver, "r1")
    join(driver, "r2")
    driver.do(JudgeReservations(lost=("r1",)))
    assert driver.state() is State.HEALTHY


def test_a_configuration_is_not_to_blame_for_a_lost_reservation() -> None:
    driver = ConfigDriver()
    join(driver, "r1")
    driver.tick()
    driver.update({"port": 1})
    driver.answer()
    driver.do(JudgeReservations(lost=("r1",)))
    assert (driver.row().health, driver.row().own_health) == (Health.DEGRADED, Health.HEALTHY)
    driver.heartbeat_through(11_000)
    assert driver.revision(1).state is RevisionState.ACTIVE


def test_requirements_are_asked_for_in_the_units_of_pools() -> None:
    required = (
        Amount("cpu", 500, "millicores"),
        Amount("cpu_cores", 2),
        Amount("disk_mb", 0),
        Amount("gpu", 1, "pieces"),
        Amount("memory_mb", 512, "MB"),
    )
    asked = in_pools(required, ReservationSettings().dimensions)
    assert [(each.dimension, each.amount, each.unit) for each in asked] == [
        ("cpu", 2_500, "millicores"),
        ("gpu", 1, "pieces"),
        ("memory", 512, ""),
    ]


def test_a_requirement_in_another_unit_is_refused() -> None:
    with pytest.raises(Refusal, match="memory_mb is counted in MB, not in GB") as caught:
        in_pools([Amount("memory_mb", 1, "GB")], ReservationSettings().dimensions)
    assert caught.value.reason == "RESOURCE_ALLOCATION_FAILED"


def test_a_reservation_outlasts_two_renewals() -> None:
    with pytest.raises(ValueError, match="must be at least twice renew_ms"):
        ReservationSettings(ttl_ms=20_000)
