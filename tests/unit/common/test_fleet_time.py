"""Fleet time never goes back or jumps; wall time is slewed."""

from __future__ import annotations

import pytest

from tercio_common.machine.fleet_time import FleetTime


class TwoClocks:
    """Boot-time and wall clock that move on their own."""

    def __init__(self, *, boot: int, wall: int) -> None:
        self.boot, self.wall = boot, wall

    def boot_ms(self) -> int:
        return self.boot

    def wall_ms(self) -> int:
        return self.wall

    async def sleep_ms(self, duration: int) -> None:
        raise NotImplementedError


def test_fleet_time_goes_on_from_the_journal_without_the_downtime() -> None:
    clock = TwoClocks(boot=5_000_000, wall=9_000_000)
    fleet = FleetTime(clock=clock, now=700, wall=0)
    assert fleet.now() == 700
    clock.boot += 50
    assert fleet.now() == 750


@pytest.mark.parametrize(("jump", "expected"), [(3_600_000, 1_100), (-3_600_000, 900)], ids=["ahead", "back"])
def test_a_wall_clock_that_jumps_an_hour_moves_wall_time_by_a_tenth_of_what_passed(jump: int, expected: int) -> None:
    clock = TwoClocks(boot=0, wall=50_000_000)
    fleet = FleetTime(clock=clock, now=0, wall=0)
    clock.boot, clock.wall = 1_000, 50_001_000 + jump
    assert fleet.wall() == 50_000_000 + expected


def test_wall_time_never_starts_before_the_journal() -> None:
    fleet = FleetTime(clock=TwoClocks(boot=0, wall=100), now=0, wall=900)
    assert fleet.wall() == 900


def test_many_short_looks_slew_as_much_as_one_long_look() -> None:
    clock = TwoClocks(boot=0, wall=0)
    fleet = FleetTime(clock=clock, now=0, wall=0)
    clock.wall = 3_600_000
    for _ in range(1_000):
        clock.boot += 1
        clock.wall += 1
        fleet.wall()
    assert fleet.wall() == 1_100
