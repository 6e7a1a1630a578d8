"""What grows with the fleet is told beside its bar, and the simulated fleet behaves like one."""

from __future__ import annotations

import json

import pytest

from benchmarks.bars import Bar, as_json, as_table
from benchmarks.growth.registry_state import SimulatedRegistry
from benchmarks.recovery.hour import Sample, growth
from benchmarks.recovery.probed import FastClock
from tercio_common.testing.manual_clock import ManualClock
from tercio_registry.state.agents import Health


@pytest.mark.parametrize(("value", "holds"), [(1.5, True), (1.51, False)])
def test_a_bar_is_met_up_to_its_limit(value: float, holds: bool) -> None:
    bar = Bar(name="cost", value=value, limit=1.5)
    assert bar.holds is holds
    assert ("MISSED" in as_table([bar])) is not holds
    assert json.loads(as_json([bar]))["bars"][0]["holds"] is holds


def test_what_has_no_limit_always_holds() -> None:
    assert Bar(name="rate", value=1e9).holds


def test_a_simulated_fleet_that_beats_once_an_interval_stays_healthy() -> None:
    registry = SimulatedRegistry(200)
    for _ in range(5):
        registry.interval()
    assert {row.health for row in registry.machine.agents.values()} == {Health.HEALTHY}
    assert all(row.active for row in registry.machine.agents.values())


def _samples(*files: float) -> list[Sample]:
    return [Sample(tasks, 1.0, file, 1.0) for tasks, file in enumerate(files)]


def test_a_file_that_has_stopped_growing_is_told_apart_from_one_that_has_not() -> None:
    bounded = growth(_samples(10, 50, 90, 100, 100, 90, 100), tasks=6, seconds=1)
    growing = growth(_samples(10, 20, 30, 40, 50, 60, 70), tasks=6, seconds=1)
    assert bounded.holds
    assert not growing.holds


async def test_a_fast_clock_runs_that_many_times_as_fast_and_sleeps_accordingly() -> None:
    machine = ManualClock()
    fast = FastClock(machine, 60)
    boot, wall = fast.boot_ms(), fast.wall_ms()
    await machine.advance(1_000)
    assert (fast.boot_ms() - boot, fast.wall_ms() - wall) == (60_000, 60_000)
