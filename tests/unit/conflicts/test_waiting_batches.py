"""Batches that wait for the same things: what that costs the leader must not grow with every pair of their items."""

from __future__ import annotations

from support.conflicts_machine import Driver, file
from tercio_conflicts.state.commands import Atomicity


def test_many_batches_in_one_line_are_looked_through_within_the_time_of_a_unit_test() -> None:
    driver = Driver()
    files = [file(f"file{number}") for number in range(50)]
    for each in files:
        assert driver.claim("holder", each)
    # One of the line holds what the last one wants, too: so there may be a cycle, and everybody is looked at.
    assert driver.claim("o0", file("held"))
    for number in range(49):
        assert driver.wait(driver.wish(f"o{number}", *files, atomicity=Atomicity.BATCH))
    assert driver.wait(driver.wish("o49", *files, file("held"), atomicity=Atomicity.BATCH))
    assert driver.detect() == []
