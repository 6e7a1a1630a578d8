"""What happens when follows from the seed alone."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from tercio_common.errors import SettingsError
from tercio_common.testing.chaos.faults.catalogue import KINDS, chosen
from tercio_common.testing.chaos.schedule import schedule

SEEDS = range(30)
ALL = tuple(KINDS.values())


def test_the_same_seed_gives_the_same_faults() -> None:
    assert schedule(ALL, seconds=60, seed=3) == schedule(ALL, seconds=60, seed=3)
    assert schedule(ALL, seconds=60, seed=3) != schedule(ALL, seconds=60, seed=4)


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_come_in_order_and_are_over_in_time(seed: int) -> None:
    planned = schedule(ALL, seconds=20, seed=seed)
    assert all(earlier.at_ms <= later.at_ms for earlier, later in pairwise(planned))
    assert all(one.at_ms + one.hold_ms <= 20_000 for one in planned)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_harmed_twice_at_once(seed: int) -> None:
    free_at: Counter[str] = Counter()
    for one in schedule(ALL, seconds=60, seed=seed):
        subject = KINDS[one.name].subject
        assert not subject or one.at_ms >= free_at[subject]
        free_at[subject] = one.at_ms + one.hold_ms


@pytest.mark.parametrize("seed", SEEDS)
def test_a_minute_has_room_for_every_kind(seed: int) -> None:
    assert {one.name for one in schedule(ALL, seconds=60, seed=seed)} == set(KINDS)


def test_a_run_that_is_shorter_than_a_fault_goes_without_it() -> None:
    assert schedule(chosen(["pause-leader"]), seconds=2, seed=1) == ()


def test_a_run_without_kinds_has_no_faults() -> None:
    assert schedule((), seconds=60, seed=1) == ()


def test_a_family_names_all_of_its_kinds() -> None:
    assert [kind.name for kind in chosen(["kill", "compact"])] == [
        "kill-leader",
        "kill-replica",
        "kill-agent",
        "kill-registry",
        "kill-resources",
        "kill-conflicts",
        "kill-scaling",
        "compact",
    ]


def test_no_names_choose_every_kind() -> None:
    assert chosen([]) == ALL


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match="no fault is called 'meteor'; there are: kill-leader, "):
        chosen(["kill", "meteor"])
