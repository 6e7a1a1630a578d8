"""Histories follow what agents count: each attempt once, the newest ones most, and bounded."""

from __future__ import annotations

import pytest

from support.registry_machine import Driver, rows
from tercio_registry.performance_messages import performance_message
from tercio_registry.state.commands import RecordPerformance
from tercio_registry.state.counting import Counting
from tercio_registry.state.performance import PerformanceRow, TypeHistory, after
from tercio_registry.state.rules import Rules
from tercio_registry.state.totals import MOST_TOTAL, MOST_TYPES, Counted, Totals

FIRST, SECOND = b"1" * 16, b"2" * 16


def count(driver: Driver, agent_id: str = "a", *, instance: bytes = FIRST, **types: tuple[int, int, int]) -> None:
    """Record totals: succeeded, failed, microseconds."""
    count_all(driver, types, agent_id, instance)


def count_all(
    driver: Driver, types: dict[str, tuple[int, int, int]], agent_id: str = "a", instance: bytes = FIRST
) -> None:
    named = tuple((name, Totals(*totals)) for name, totals in types.items())
    driver.do(RecordPerformance((Counted(agent_id=agent_id, instance_id=instance, types=named),)))


def history(driver: Driver, agent_id: str = "a", task_type: str = "t") -> TypeHistory:
    row = driver.machine.performance.table[agent_id]
    return next(each for each in row.types if each.task_type == task_type)


def names(row: PerformanceRow) -> list[str]:
    return [each.task_type for each in row.types]


def test_the_first_count_is_taken_as_it_is_and_later_ones_weigh_a_tenth_each() -> None:
    driver = Driver()
    driver.register()
    count(driver, t=(1, 0, 1_000))
    assert (history(driver).success_ppm, history(driver).average_micros) == (1_000_000, 1_000)
    count(driver, t=(2, 0, 3_000))
    assert history(driver).average_micros == 1_100
    count(driver, t=(2, 1, 3_000))
    assert (history(driver).success_ppm, history(driver).average_micros) == (900_000, 1_100)


def test_many_at_once_weigh_as_much_as_one_after_the_other() -> None:
    slow, quick = Driver(), Driver()
    for driver in (slow, quick):
        driver.register()
        count(driver, t=(1, 0, 1_000_000))
    for number in range(1, 11):
        count(slow, t=(1 + number, 0, 1_000_000 + 2_000_000 * number))
    count(quick, t=(11, 0, 21_000_000))
    assert history(quick).average_micros == pytest.approx(history(slow).average_micros, rel=1e-4)


def test_what_is_told_twice_counts_once_also_to_the_next_leader() -> None:
    driver = Driver()
    driver.register()
    count(driver, t=(5, 5, 5_000))
    before = history(driver)
    count(driver, t=(5, 5, 5_000))
    driver.take_over()
    count(driver, t=(5, 5, 5_000))
    count(driver, t=(4, 0, 10))
    assert history(driver) == before
    count(driver, t=(6, 5, 6_000))
    assert (history(driver).succeeded, history(driver).failed) == (6, 5)


def test_a_new_process_counts_from_nothing_and_the_history_goes_on() -> None:
    driver = Driver()
    driver.register()
    count(driver, t=(5, 1, 5_000))
    driver.register(instance=SECOND)
    count(driver, instance=SECOND, t=(2, 0, 2_000))
    count(driver, instance=SECOND, t=(3, 0, 3_000))
    assert (history(driver).succeeded, history(driver).failed) == (8, 1)
    assert [task_type for task_type, _ in driver.row().performance] == ["t"]


def test_it_is_kept_after_the_agent_is_gone_and_forgotten_with_it() -> None:
    driver = Driver()
    driver.register()
    count(driver, t=(5, 1, 5_000))
    driver.listen(3_100)
    assert not driver.row().active
    assert history(driver).succeeded == 5
    driver.listen(61_000)
    assert "a" not in driver.machine.agents
    assert rows(driver.machine)["performance"] == rows(driver.machine)["history"] == []
    count(driver, t=(6, 1, 6_000))
    assert "a" not in driver.machine.performance.table
    assert driver.machine.performance.size_bytes == 0


def test_the_type_that_was_not_counted_for_the_longest_time_goes_first() -> None:
    driver = Driver()
    driver.register()
    count_all(driver, {f"t{number}": (1, 0, 1) for number in range(MOST_TYPES)})
    count(driver, t0=(2, 0, 2))
    count(driver, new=(1, 0, 1))
    kept = names(driver.machine.performance.table["a"])
    assert len(kept) == MOST_TYPES
    assert kept[-2:] == ["t0", "new"]
    assert "t1" not in kept


def test_a_process_that_names_new_types_without_end_keeps_the_newest() -> None:
    driver, counting = Driver(), Counting()
    driver.register()
    for number in range(5 * MOST_TYPES):
        counting.count(driver.row(), {f"t{number}": Totals(1, 0, 1)})
    counting.count(driver.row(), {f"t{4 * MOST_TYPES}": Totals(2, 0, 2)})
    (counted,) = counting.take(1 << 30)
    assert [name for name, _ in counted.types] == [f"t{n}" for n in range(4 * MOST_TYPES + 1, 5 * MOST_TYPES)] + [
        f"t{4 * MOST_TYPES}"
    ]


def test_the_largest_totals_are_kept_and_shown_over_many_processes() -> None:
    driver = Driver()
    for number in range(1, 10):
        instance, largest = bytes([number]) * 16, (MOST_TOTAL, MOST_TOTAL, MOST_TOTAL)
        driver.register(instance=instance)
        count_all(driver, {f"t{each}": largest for each in range(MOST_TYPES)}, instance=instance)
    assert rows(driver.reloaded()) == rows(driver.machine)
    shown = performance_message(driver.row(), driver.machine.performance, driver.session)
    assert len(shown.task_types) == MOST_TYPES


def test_one_attempt_may_have_run_for_as_long_as_can_be_told() -> None:
    driver = Driver()
    driver.register()
    count(driver, t=(1, 0, MOST_TOTAL))
    shown = performance_message(driver.row(), driver.machine.performance, driver.session)
    assert shown.average_duration.ToMicroseconds() == MOST_TOTAL


def test_a_full_registry_takes_no_new_types() -> None:
    driver = Driver(Rules(interval=1_000, retention=60_000, max_live_bytes=300))
    driver.register()
    count(driver, t=(1, 0, 1))
    count(driver, t=(2, 0, 2), other=(1, 0, 1))
    assert names(driver.machine.performance.table["a"]) == ["t"]
    assert history(driver).succeeded == 2


def test_the_score_is_the_success_rate_times_the_time_efficiency_against_the_fleet() -> None:
    driver = Driver()
    for agent_id, totals in {"quick": (10, 0, 10_000), "slow": (10, 0, 30_000), "clumsy": (5, 5, 10_000)}.items():
        driver.register(agent_id)
        count(driver, agent_id, t=totals)
    performance = driver.machine.performance
    scores = {each: performance.score(history(driver, each)) for each in ("quick", "slow", "clumsy")}
    assert scores == {"quick": 1_000_000, "slow": 666_666, "clumsy": 500_000}  # the mean is 2 ms


def test_watchers_hear_of_a_score_only_once_it_has_moved_by_five_points() -> None:
    driver = Driver()
    driver.register()
    told = set()
    for number in range(1, 201):
        count(driver, t=(100 * number, number, 1_000 * 100 * number))
        told.add(driver.row().changed_seq)
    assert len(told) == 1
    count(driver, t=(20_000, 210, 1_000 * 20_000))
    assert driver.row().changed_seq not in told


def test_a_count_that_says_nothing_new_leaves_the_averages() -> None:
    row = after(None, Counted(agent_id="a", instance_id=FIRST, types=(("t", Totals(0, 3, 0)),)))
    assert row.types == (TypeHistory("t", present=Totals(0, 3, 0)),)
