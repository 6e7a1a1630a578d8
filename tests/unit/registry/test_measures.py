"""What handlers measure: counted once, averaged, bounded, and told beside what the agent uses."""

from __future__ import annotations

import pytest

from support.registry_machine import Driver, rows
from tercio.api.registry.v1 import performance_pb2
from tercio_common.errors import Refusal
from tercio_common.rpc.violations import Violations
from tercio_registry.performance_messages import check_totals, performance_message, totals_of
from tercio_registry.settings import ReservationSettings
from tercio_registry.state.agents import Amount, Profile
from tercio_registry.state.commands import RecordPerformance
from tercio_registry.state.performance import MeasureHistory
from tercio_registry.state.rules import Rules
from tercio_registry.state.totals import MOST_MEASURES, MOST_TOTAL, Counted, Measured, Totals
from tercio_registry.state.vitals import Vitals

FIRST, SECOND = b"1" * 16, b"2" * 16
HALF = 500_000


def measure(driver: Driver, *measures: Measured, instance: bytes = FIRST, task_type: str = "t") -> None:
    totals = Totals(max((each.times for each in measures), default=0), 0, 1_000, measures)
    driver.do(RecordPerformance((Counted(agent_id="a", instance_id=instance, types=((task_type, totals),)),)))


def known(driver: Driver) -> dict[str, MeasureHistory]:
    (history,) = driver.machine.performance.table["a"].types
    return {each.name: each for each in history.measures}


def shown(driver: Driver) -> performance_pb2.AgentPerformance:
    dimensions = ReservationSettings().dimensions
    return performance_message(driver.row(), driver.machine.performance, driver.session, dimensions=dimensions)


@pytest.fixture
def driver() -> Driver:
    driver = Driver()
    driver.register(profile=Profile(resource_requirements=(Amount("cpu_cores", 2),)))
    return driver


def test_an_attempt_counts_once_and_weighs_a_tenth(driver: Driver) -> None:
    measure(driver, Measured("quality_score", 1, HALF))
    measure(driver, Measured("quality_score", 1, HALF))
    assert known(driver)["quality_score"] == MeasureHistory("quality_score", 0, 1, HALF, HALF)
    measure(driver, Measured("quality_score", 2, HALF + 1_000_000))
    assert known(driver)["quality_score"].average_micros == 550_000
    assert rows(driver.replayed()) == rows(driver.reloaded()) == rows(driver.machine)


def test_a_new_process_measures_from_nothing_and_the_average_goes_on(driver: Driver) -> None:
    measure(driver, Measured("quality_score", 10, 10 * HALF))
    driver.register(instance=SECOND)
    measure(driver, Measured("quality_score", 1, 1_000_000), instance=SECOND)
    assert known(driver)["quality_score"] == MeasureHistory("quality_score", 10, 1, 1_000_000, 550_000)


def test_the_name_that_was_not_measured_for_the_longest_time_goes_first(driver: Driver) -> None:
    names = [f"m{number}" for number in range(MOST_MEASURES)]
    measure(driver, *(Measured(name, 1, 1) for name in names))
    measure(driver, Measured("m0", 2, 2), Measured("new", 1, 1))
    assert set(known(driver)) == {*names, "new"} - {"m1"}


def test_the_largest_values_are_kept_and_shown(driver: Driver) -> None:
    for number in range(1, 4):
        instance = bytes([number]) * 16
        driver.register(instance=instance)
        measure(driver, Measured("x", MOST_TOTAL, MOST_TOTAL), instance=instance)
    assert rows(driver.reloaded()) == rows(driver.machine)
    assert shown(driver).measures[0].count == 2 * MOST_TOTAL


def test_a_full_registry_takes_no_new_names() -> None:
    driver = Driver(Rules(interval=1_000, retention=60_000, max_live_bytes=320))
    driver.register()
    measure(driver, Measured("old", 1, 1))
    measure(driver, Measured("old", 2, 2), Measured("new", 1, 1))
    assert (set(known(driver)), known(driver)["old"].times) == ({"old"}, 2)


def test_an_agent_shows_what_it_measured_over_all_types_weighed_by_attempts(driver: Driver) -> None:
    measure(driver, Measured("quality_score", 1, 1_000_000), Measured("memory_latency_ms", 1, 7_000_000))
    measure(driver, Measured("quality_score", 3, 0), task_type="u")
    message = shown(driver)
    assert [(each.name, each.count, each.average) for each in message.measures] == [
        ("memory_latency_ms", 1, 7.0),
        ("quality_score", 4, 0.25),
    ]
    assert [[each.name for each in one.measures] for one in message.task_types] == [
        ["quality_score", "memory_latency_ms"],
        ["quality_score"],
    ]


def test_efficiency_is_the_pace_of_the_fleet_and_the_use_of_what_is_required(driver: Driver) -> None:
    measure(driver, Measured("x", 1, 1))
    assert (shown(driver).efficiency, shown(driver).HasField("cpu_efficiency")) == (1.0, False)
    assert not shown(driver).HasField("resource_usage")
    driver.register("fast")
    totals = (("t", Totals(1, 0, 500)),)
    driver.do(RecordPerformance((Counted(agent_id="fast", instance_id=FIRST, types=totals),)))
    driver.beat(vitals=Vitals(cpu_ratio=0.5, queue_length=3, queue_limit=9))
    message = shown(driver)
    assert (message.efficiency, message.cpu_efficiency) == (0.75, 0.25)
    assert message.task_types[0].efficiency == 0.75
    assert (message.resource_usage.cpu_ratio, message.resource_usage.queue_length) == (0.5, 3)


def test_what_is_told_arrives_by_type() -> None:
    told = performance_pb2.TaskTotals(task_types=["a", "b"], succeeded=[1, 1], failed=[0, 0], run_micros=[5, 5])
    told.measures.add(task_type_index=1, name="quality_score", count=1, sum_micros=HALF)
    found = Violations()
    check_totals("totals", told, found)
    found.raise_if_any()
    assert totals_of(told) == {"a": Totals(1, 0, 5), "b": Totals(1, 0, 5, (Measured("quality_score", 1, HALF),))}


def test_every_wrong_measure_is_named() -> None:
    told = performance_pb2.TaskTotals(task_types=["a"], succeeded=[1], failed=[0], run_micros=[5])
    told.measures.add(task_type_index=1, name="x", count=1)
    told.measures.add(name="has blanks", count=1)
    told.measures.add(name="x" * 65, count=1)
    told.measures.add(name="y", count=MOST_TOTAL + 1, sum_micros=MOST_TOTAL + 1)
    for _ in range(MOST_MEASURES):
        told.measures.add(name="z", count=1)
    found = Violations()
    check_totals("t", told, found)
    with pytest.raises(Refusal) as caught:
        found.raise_if_any()
    assert {each.field for each in caught.value.violations} == {
        "t.measures",
        "t.measures[0].task_type_index",
        "t.measures[1].name",
        "t.measures[2].name",
        "t.measures[3].count",
        "t.measures[3].sum_micros",
        *(f"t.measures[{index}].name" for index in range(5, 4 + MOST_MEASURES)),
    }
