"""The mix of tasks: the same seed gives the same numbers, and predicting beats granting what is declared."""

from __future__ import annotations

from itertools import islice

from benchmarks.resources_mix import FirstFit, Tercio, run, tasks

SECONDS = 450


def test_the_same_seed_gives_the_same_tasks_and_the_same_outcome() -> None:
    assert list(islice(tasks(7), 20)) == list(islice(tasks(7), 20))
    assert run(FirstFit(), seed=7, seconds=SECONDS) == run(FirstFit(), seed=7, seconds=SECONDS)


def test_pools_are_full_and_less_than_half_as_much_is_wasted_as_by_first_fit() -> None:
    ours, baseline = (run(policy, seed=1, seconds=SECONDS) for policy in (Tercio(), FirstFit()))
    assert ours.granted >= 0.85
    assert ours.used > 1.5 * baseline.used
    assert ours.waste < baseline.waste / 2
    assert ours.outgrown < 0.05
    assert ours.finished > 1.5 * baseline.finished
