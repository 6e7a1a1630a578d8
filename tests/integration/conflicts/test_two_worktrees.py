"""No two writers in two real working trees of one repository, over random interleavings of claim, edit and commit."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.conflicts import Conflicts, running_conflicts
from support.git_trees import GitTree
from support.two_worktrees import SETTINGS, Commit, Ledger, TwoWorktrees
from tercio import Client
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock

IS_LONG = bool(os.environ.get("TERCIO_TEST_LONG"))
INTERLEAVINGS = 1_000 if IS_LONG else 15
STEPS = 16


@pytest.fixture
async def conflicts(store: MemoryStore, clock: ManualClock) -> AsyncIterator[Conflicts]:
    async with running_conflicts(store, clock=clock, settings=SETTINGS) as running:
        yield running


@pytest.fixture
async def worktrees(
    conflicts: Conflicts, store: MemoryStore, clock: ManualClock, tmp_path: Path, seed: int
) -> AsyncIterator[TwoWorktrees]:
    first = GitTree.create(tmp_path / "first")
    trees = [first, first.worktree(tmp_path / "second", "second")]
    async with Client(address=f"127.0.0.1:{conflicts.port}") as client:
        yield TwoWorktrees(conflicts, client.claims, Ledger(store), clock, trees, seed=seed)


def wrong(commits: list[Commit]) -> Iterator[str]:
    """Give what must not be: somebody wrote what another held, or, where that is demanded, what it did not hold."""
    last: dict[str, Commit] = {}
    for commit in commits:
        for path in commit.paths:
            holder = commit.holders.get(path, "" if commit.must_claim else commit.owner)
            if holder != commit.owner:
                yield f"{commit.owner} wrote {path}, which {holder or 'nobody'} held"
            former = last.get(path)
            if commit.must_claim and former and former.must_claim and max(former.tokens) > max(commit.tokens):
                yield f"{commit.owner} wrote {path} with tokens {commit.tokens} after {former.tokens}"
            last[path] = commit


def history(tree: GitTree) -> dict[str, tuple[str, list[str]]]:
    """Return of each commit on any branch who made it and what it changed, as git tells it."""
    text = tree.run("log", "--branches", "--format=%x00%H%n%s", "--name-only")
    found = {}
    for entry in text.split("\0")[1:]:
        name, subject, *paths = [line for line in entry.split("\n") if line]
        found[name] = (subject.split()[0], sorted(paths))
    return found


@pytest.mark.timeout(1800 if IS_LONG else 120)
async def test_nobody_writes_what_another_holds(worktrees: TwoWorktrees) -> None:
    for _ in range(INTERLEAVINGS):
        await worktrees.interleave(STEPS)
    assert list(wrong(worktrees.commits)) == []
    told = history(worktrees.agents[0].tree)
    begun = [name for name, (owner, _) in told.items() if owner == "change"]
    assert {commit.name: (commit.owner, sorted(commit.paths)) for commit in worktrees.commits} == {
        name: facts for name, facts in told.items() if name not in begun
    }
    logging.getLogger(__name__).info("%s", worktrees)
    assert min(len(worktrees.commits), worktrees.refused, worktrees.collided) > 0
    assert worktrees.refused_late > 0 or not IS_LONG


async def test_without_the_check_two_would_write(worktrees: TwoWorktrees) -> None:
    worktrees.is_guarded = False
    for _ in range(20):
        await worktrees.interleave(STEPS)
    assert list(itertools.islice(wrong(worktrees.commits), 1))
