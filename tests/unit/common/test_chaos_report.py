"""A report holds only when everything does, and says what does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from tercio_common.testing.chaos.report import PROMISES, Report, Tried, report_of
from tercio_common.testing.history import Verdict, Violation
from tercio_common.testing.history.facts import Kind

_BROKEN = Violation("G2", "OneResult", "two results")


def report(
    *,
    verdict: Verdict | None = None,
    violations: Sequence[Violation] = (),
    complaints: Sequence[Violation] = (),
    troubles: Sequence[str] = (),
    is_gap: bool = False,
) -> Report:
    judged = Verdict(10, 2, Counter({Kind.SUCCEEDED: 3, Kind.OFFERED: 4}), tuple(violations))
    return report_of(
        None if is_gap else judged,
        seed=5,
        faults={"kill-leader": 2},
        tried=Tried(acknowledged=4, ended={"SUCCEEDED": 3}),
        complaints=complaints,
        troubles=troubles,
    )


def test_a_clean_run_holds_and_says_what_it_was_tried_on() -> None:
    clean = report().demand()
    assert clean.holds
    assert [one.promise for one in clean.promises] == list(PROMISES)
    assert clean.promises[1].tried_on == "3 results of 4 attempts"
    assert clean.document()["tasks"] == {"acknowledged": 4, "SUCCEEDED": 3}


def test_what_other_services_were_tried_on_stands_beside_what_the_scheduler_was() -> None:
    tried = Tried(ended={}, of_parts={"G4": "5 holders", "G6": "3 allocations"})
    verdict = Verdict(10, 2, Counter({Kind.SUCCEEDED: 3}), ())
    told = report_of(verdict, seed=5, faults={}, tried=tried, complaints=(), troubles=())
    shown = {one.promise: one.tried_on for one in told.promises}
    assert (shown["G4"], shown["G6"]) == ("5 holders", "3 ends of attempts, 3 allocations")


def test_a_violation_of_the_history_breaks_its_promise() -> None:
    broken = report(violations=[_BROKEN])
    assert not broken.holds
    assert broken.broken() == {"G2"}
    with pytest.raises(AssertionError, match="after seed 5:\n  G2: G2 OneResult: two results"):
        broken.demand()


def test_what_a_client_complains_of_breaks_its_promise() -> None:
    assert report(complaints=[Violation("G8", "SameRequest", "2 replies")]).broken() == {"G8"}


def test_trouble_is_no_broken_promise_and_holds_nothing_all_the_same() -> None:
    troubled = report(troubles=["a process ended by itself"])
    assert not troubled.broken()
    assert not troubled.holds


def test_without_a_verdict_nothing_is_told_to_have_held() -> None:
    assert report(is_gap=True).broken() == set(PROMISES)
