"""How much the leader looks at: it must not grow with every pair of calls that wait, nor with every claim there is.

Work is counted, not timed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from support.conflicts_machine import Driver, file, glob
from tercio_common.errors import Refusal
from tercio_conflicts.state import deadlock, overlaps
from tercio_conflicts.state.commands import Atomicity
from tercio_conflicts.state.effort import MOST_COMPARED
from tercio_conflicts.state.globs import matches
from tercio_conflicts.state.grants import exclude
from tercio_conflicts.state.rows import MOST_ITEMS
from tercio_conflicts.state.things import Thing, overlap
from tercio_conflicts.state.waiting import MOST_ITEMS_WAITING

CALLS = 1_000


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count comparisons of items, and of things."""
    counted = Counter[str]()

    def counting(name: str, compare: Callable[..., bool]) -> Callable[..., bool]:
        def compared(*arguments: object) -> bool:
            counted[name] += 1
            return compare(*arguments)

        return compared

    monkeypatch.setattr(deadlock, "exclude", counting("items", exclude))
    monkeypatch.setattr(overlaps, "overlap", counting("things", overlap))
    return counted


@pytest.mark.parametrize("is_same", [True, False], ids=["one-thing", "different-things"])
def test_a_cycle_among_a_thousand_calls_is_found_without_comparing_all_of_them(
    is_same: bool, looks: Counter[str]
) -> None:
    driver = Driver()
    waiting = driver.session.waiting
    driver.claim("one", file("x"))
    driver.claim("other", file("y"))
    waiting.enter(driver.wish("one", file("y")), 0)
    waiting.enter(driver.wish("other", file("x")), 0)
    for number in range(CALLS - 2):
        waiting.enter(driver.wish(f"o{number}", file("x" if is_same else f"f{number}")), 0)
    looks.clear()
    assert [ticket.owner for ticket in driver.detect()] == ["other"]
    assert looks["items"] <= 2 * CALLS
    assert looks["things"] == 0


def test_many_batches_in_one_line_are_each_looked_at_by_who_comes_next(looks: Counter[str]) -> None:
    driver = Driver()
    things = tuple(file(f"f{number}") for number in range(50))
    driver.claim("first", file("f0"))
    for number in range(50):
        wish = driver.wish("first" if number == 49 else f"o{number}", *things, atomicity=Atomicity.BATCH)
        driver.session.waiting.enter(wish, 0)
    waits = deadlock.waits(driver.machine.tables, driver.session, 0)
    assert all(waits[ticket] for ticket in driver.session.waiting if ticket.owner != "first")
    assert looks["items"] <= 2 * 50 * 50


def hold(driver: Driver, names: list[str]) -> None:
    for begin in range(0, len(names), MOST_ITEMS):
        driver.acquire(f"holder{begin}", *map(file, names[begin : begin + MOST_ITEMS]))


def test_a_glob_that_meets_many_files_looks_at_as_many_as_are_named(looks: Counter[str]) -> None:
    driver = Driver()
    hold(driver, [f"src/p{number}/m.py" for number in range(3_000)])
    looks.clear()
    assert driver.acquire("a", glob("src/**/*.py")).obstacles
    assert looks["things"] <= 20


def test_globs_that_would_be_compared_with_too_much_are_refused_and_leave_nothing(
    looks: Counter[str],
) -> None:
    driver = Driver()
    hold(driver, [f"src/p{number}/m.py" for number in range(2_000)])
    looks.clear()
    wanted: list[Thing] = [glob(f"src/**/z{number}*.py") for number in range(MOST_COMPARED // 2_000 + 1)]
    with pytest.raises(Refusal, match="fewer at once") as refusal:
        driver.acquire("a", *wanted)
    assert refusal.value.reason == "REQUEST_TOO_LARGE"
    assert looks["things"] <= MOST_COMPARED
    assert not driver.machine.tables.holdings.of("a")
    assert driver.claim("a", wanted[0]), "a few of them are looked at"


def test_calls_wait_for_no_more_things_than_the_leader_can_look_at() -> None:
    driver = Driver()
    batch = driver.wish("a", *(file(f"f{number}") for number in range(MOST_ITEMS)), atomicity=Atomicity.BATCH)
    tickets = [driver.session.waiting.enter(batch, 0) for _ in range(MOST_ITEMS_WAITING // MOST_ITEMS)]
    with pytest.raises(Refusal, match="try again later") as refusal:
        driver.session.waiting.enter(driver.wish("b", file("x")), 0)
    assert refusal.value.reason == "QUEUE_FULL"
    driver.session.waiting.leave(tickets[0])
    ticket = driver.session.waiting.enter(driver.wish("b", file("x")), 0)
    assert ticket in list(driver.session.waiting)


@pytest.mark.parametrize("pattern", ["*a" * 200 + "b", "**/" + "*a" * 20 + "/**/*ab", "**/a/**/a/**/a/**/b"], ids=len)
def test_no_pattern_makes_matching_a_path_take_longer_than_a_unit_test_may(pattern: str) -> None:
    path = "/".join(["a" * 30] * 30 + ["a"] * 40)
    for _ in range(100):
        assert not matches(pattern, path)
