"""The mix of tasks: the same seed gives the same numbers, and sizing by what is observed reaches the bars."""

from __future__ import annotations

from itertools import islice

import pytest

from benchmarks.resources_mix import FirstFit, Tercio, run, tasks

SECONDS = 450


def test_the_same_seed_gives_the_same_tasks_and_the_same_outcome() -> None:
    assert list(islice(tasks(7), 20)) == list(islice(tasks(7), 20))
    assert run(FirstFit(), seed=7, seconds=SECONDS) == run(FirstFit(), seed=7, seconds=SECONDS)


@pytest.mark.parametrize("seed", [1, 2])
def test_pools_are_used_to_85_percent_and_less_than_a_tenth_of_what_is_granted_is_wasted(seed: int) -> None:
    ours, baseline = (run(policy, seed=seed, seconds=SECONDS) for policy in (Tercio(), FirstFit()))
    assert ours.used >= 0.85
    assert ours.waste < 0.1
    assert baseline.used < 0.85
    assert baseline.waste > 0.1
    assert ours.used > 1.5 * baseline.used
    assert ours.outgrown < 0.05
    assert ours.finished > 1.5 * baseline.finished
