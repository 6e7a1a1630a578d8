"""Grants by example: what is in the way, what belongs together, and who may pass."""

from __future__ import annotations

import pytest

from support.conflicts_machine import Driver, file, glob
from tercio_conflicts.state.commands import Acquire, Atomicity
from tercio_conflicts.state.modes import Mode, compatible
from tercio_conflicts.state.rules import Rules
from tercio_conflicts.state.things import Thing

A, B, FOLDER = file("d/a"), file("d/b"), glob("d/**")


@pytest.mark.parametrize("one", Mode)
@pytest.mark.parametrize("other", Mode)
def test_only_who_edits_is_alone(one: Mode, other: Mode) -> None:
    driver = Driver()
    assert driver.claim("a", A, mode=one)
    assert bool(driver.claim("b", A, mode=other)) is compatible(one, other) is (Mode.EXCLUSIVE not in (one, other))


@pytest.mark.parametrize(
    ("held", "asked"), [(FOLDER, A), (A, FOLDER), (FOLDER, glob("*/a")), (FOLDER, FOLDER)], ids=str
)
def test_a_glob_is_in_the_way_of_what_it_overlaps(held: Thing, asked: Thing) -> None:
    driver = Driver()
    number = driver.claim("a", held)
    (obstacle,) = driver.acquire("b", asked).obstacles.values()
    assert (obstacle.reason, [blocker.number for blocker in obstacle.blockers]) == ("CLAIM_CONFLICT", [number])


def test_a_folder_that_is_claimed_as_a_file_is_that_path_alone_and_as_a_glob_all_that_is_in_it() -> None:
    driver = Driver()
    assert driver.claim("a", file("d"))
    assert driver.claim("b", A)
    assert driver.claim("c", glob("d/e/"))
    assert not driver.claim("d", glob("d/"))


def test_globs_that_share_no_path_are_in_nobodys_way() -> None:
    driver = Driver()
    assert driver.claim("a", glob("d/*.py"))
    assert driver.claim("b", glob("d/*.txt"))


def test_two_owners_of_one_batch_are_in_each_others_way() -> None:
    driver = Driver()
    granted = driver.do(Acquire(things=(A, FOLDER, B), modes=(Mode.EXCLUSIVE,), owners=("a", "b", "c")))
    assert [bool(number) for number in granted.numbers] == [True, False, True]
    assert granted.obstacles[1].blockers[0].owner == "a"


def test_an_owner_gets_all_of_its_items_or_none() -> None:
    driver = Driver()
    driver.claim("z", B)
    wish = Acquire(
        things=(A, B, file("e")),
        modes=(Mode.EXCLUSIVE,),
        owners=("a", "a", "b"),
        atomicity=Atomicity.OWNER,
    )
    assert [bool(number) for number in driver.do(wish).numbers] == [False, False, True]
    assert driver.claim("c", A), "what was not granted is in nobody's way"


def test_one_owner_may_not_hold_more_than_the_limit_also_in_one_batch() -> None:
    driver = Driver(Rules(owner_limit=2))
    granted = driver.acquire("a", A, B, file("e"))
    assert granted.obstacles[2].reason == "CLAIM_LIMIT_EXCEEDED"


def test_nobody_passes_a_call_that_waits_but_who_holds_what_it_needs() -> None:
    driver = Driver()
    shared = driver.claim("a", A, mode=Mode.SHARED)
    ticket = driver.wait(driver.wish("b", FOLDER))
    assert not driver.claim("c", A, mode=Mode.SHARED)
    assert not driver.claim("c", B)
    assert driver.claim("c", file("e"))
    exclusive = driver.claim("a", A)
    driver.release(shared, exclusive)
    assert driver.serve() == [ticket]


def test_a_higher_priority_passes_until_waiting_has_made_up_for_it() -> None:
    driver = Driver()
    driver.claim("a", A, mode=Mode.SHARED, ttl=3_600_000)
    driver.wait(driver.wish("b", A))
    assert driver.claim("c", A, mode=Mode.SHARED, priority=1)
    driver.listen(2 * driver.rules.ageing)
    assert not driver.claim("d", A, mode=Mode.SHARED, priority=2)
    assert driver.claim("d", A, mode=Mode.SHARED, priority=3)
