"""Allocations that ended: what became of each is known for a while."""

from __future__ import annotations

import pytest

from support.resources_machine import CPU, TTL, WALL, Driver, spec, tables
from tercio_resources.codec import decode_event
from tercio_resources.records.v1 import events_pb2
from tercio_resources.state import past_allocations
from tercio_resources.state.commands import Release, Transfer
from tercio_resources.state.events import AllocationsReleased
from tercio_resources.state.rows import Cause, PastAllocationRow
from tercio_resources.state.rules import Rules

HISTORY = 600_000


@pytest.fixture
def driver() -> Driver:
    return Driver(Rules(default_pools=(CPU,), history=HISTORY))


def past(driver: Driver) -> list[PastAllocationRow]:
    return sorted(driver.machine.tables.past_allocations.values())


def test_a_release_leaves_who_held_what_from_when_until_when(driver: Driver) -> None:
    number = driver.grant("a", tenant="t", task_type="compile")
    driver.listen(1_000)
    driver.release(number)
    (row,) = past(driver)
    assert (row.number, row.owner, row.lot.tenant, row.lot.task_type) == (number, "a", "t", "compile")
    assert (row.granted_wall, row.ended_wall, row.cause) == (WALL, WALL + 1_000, Cause.RELEASED)
    driver.release(number)
    assert past(driver) == [row]


def test_an_end_that_nobody_asked_for_says_so(driver: Driver) -> None:
    driver.grant("lost")
    driver.listen(2 * TTL)
    assert [row.cause for row in past(driver)] == [Cause.EXPIRED]


def test_after_a_hand_over_it_is_the_last_owner_that_held_it(driver: Driver) -> None:
    number = driver.grant("a")
    driver.do(Transfer(from_owner="a", to_owner="b"))
    driver.release(number)
    assert [row.owner for row in past(driver)] == ["b"]


def test_a_release_may_name_the_agent_that_used_it(driver: Driver) -> None:
    driver.allocate("a", "b", "c")
    driver.do(Release(owners=("a", "b", "nobody"), agents=("ada", "", "bert")))
    driver.release(owners=("c",))
    assert [(row.owner, row.agent_id) for row in past(driver)] == [("a", "ada"), ("b", ""), ("c", "")]


def test_they_are_forgotten_after_a_while(driver: Driver) -> None:
    driver.release(driver.grant("a"))
    driver.listen(HISTORY - 1)
    assert len(past(driver)) == 1
    driver.listen(1_000)
    assert past(driver) == []


def test_of_too_many_those_that_ended_first_are_forgotten(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_allocations, "MOST_PAST", 3)
    first, *others = [driver.grant(f"owner-{number}") for number in range(5)]
    for number in others:
        driver.listen(1_000)
        driver.release(number)
    driver.listen(1_000)
    driver.release(first)
    assert [row.number for row in past(driver)] == [first, *others[2:]]


def test_they_outlive_take_overs_and_snapshots(driver: Driver) -> None:
    driver.release(driver.grant("a"))
    before = tables(driver.machine)
    driver.take_over()
    assert tables(driver.machine)["past_allocations"] == before["past_allocations"]
    driver.machine = driver.reloaded()
    driver.listen(HISTORY + 1_000)
    assert past(driver) == []


def test_a_version_that_keeps_fewer_reads_what_another_one_forgot(driver: Driver) -> None:
    number = driver.grant("a")
    driver.release(number)
    past_allocations.forget((number, number + 1), driver.machine.tables.past_allocations)
    assert past(driver) == []


def test_a_release_of_an_old_record_names_no_agent() -> None:
    released = events_pb2.AllocationsReleased(cause=1, allocation_numbers=[1024], barred_owners=["a"])  # type: ignore[arg-type]
    event = decode_event(events_pb2.Event(allocations_released=released).SerializeToString())
    assert event == AllocationsReleased(Cause.RELEASED, (1024,), ("a",))


def test_what_is_kept_costs_little_of_what_the_service_may_hold(driver: Driver) -> None:
    assert Rules().max_live_bytes // 16 > past_allocations.MOST_PAST * 300
    assert driver.allocate("a", specs=(spec(),)).numbers
