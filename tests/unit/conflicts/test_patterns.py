"""What is learned of strategies, and in which order chains are tried then."""

from __future__ import annotations

from typing import Final

import pytest

from support.disputes_machine import Driver
from tercio_conflicts.state.dispute_rows import ConflictRow, ConflictState, Impact, PatternRow
from tercio_conflicts.state.patterns import learned, ordered, similarity
from tercio_conflicts.state.resolutions.chains import CHAINS
from tercio_conflicts.state.severity import Severity
from tercio_conflicts.state.situation import Work

CHAIN: Final = CHAINS["resource_contention"]


def conflict(extension: str) -> ConflictRow:
    context = (("claimed", "yes"), ("resource", f"src/a.{extension}"), ("type", "file_access"))
    return ConflictRow(
        f"file_conflict_{extension}", 1, "resource_contention", ConflictState.OPEN, Severity.MEDIUM, 1_000, ("a", "b"),
        (), context, (), (), 0, 0, Impact(0, 2, 0, 0),
    )  # fmt: skip


def test_without_experience_the_chain_keeps_its_order() -> None:
    assert ordered(CHAIN, conflict("py"), ()) == CHAIN


def test_what_failed_here_goes_behind_what_worked_here_and_not_elsewhere() -> None:
    here, elsewhere = conflict("sql"), conflict("py")
    patterns: list[PatternRow] = []
    for name, succeeded in zip(CHAIN, (False, True, False), strict=True):
        row = None
        for now in range(10):
            row = learned(row, here, name, succeeded=succeeded, duration=30_000, now=now)
        assert row is not None
        patterns.append(row)
    assert ordered(CHAIN, here, patterns)[0] == "resource_splitting"
    distant = [row._replace(features=("nothing=alike",)) for row in patterns]
    assert ordered(CHAIN, elsewhere, distant) == CHAIN


def test_similarity_is_the_part_that_is_shared() -> None:
    assert similarity(("a", "b"), ("b", "c")) == pytest.approx(1 / 3)
    assert similarity((), ()) == 1


def test_a_try_is_remembered_with_its_agents_over_a_take_over() -> None:
    driver = Driver()
    works = Work("t", "ada"), Work("t", "bert")
    driver.work(*works)
    driver.look()
    driver.report_actions()
    driver.work(works[0])
    driver.sleep(5_000)
    driver.take_over()
    (pattern,) = driver.tables.patterns.values()
    assert (pattern.strategy, pattern.tries, pattern.successes, pattern.agents) == (
        "single_owner",
        1,
        1,
        ("ada", "bert"),
    )
