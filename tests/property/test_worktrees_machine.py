"""Worktrees under random grants, releases, cuts and take-overs, with a git that is late, fails, or is heard twice.

The driver checks every step, and with it that what is held and what is granted agree. The test keeps a book of its own:
no path has two holders, and nobody is given one that was not cleaned, or made, after the one before.
"""

from __future__ import annotations

import contextlib

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from support.resources_machine import TTL, Driver, spec, tables
from tercio_common.errors import Refusal
from tercio_resources.state.rows import PoolRow
from tercio_resources.state.rules import Rules
from tercio_resources.state.worktree_commands import (
    CleanWorktree,
    DoubtWorktree,
    RemoveWorktree,
    SettleWorktree,
    TendWorktrees,
)
from tercio_resources.state.worktree_rows import WorktreePoolRow, WorktreeRow, WorktreeState
from tercio_resources.state.worktrees import due, paths_of

OWNERS = st.sampled_from(["a", "b", "c"])
NUMBERS = st.integers(1, 12)
RULES = Rules(
    default_pools=(PoolRow("trees", "git_worktrees", "count", 3), PoolRow("number", "git_worktrees", "count", 9)),
    worktree_pools=(WorktreePoolRow("trees", "/repository/.git", "/trees"),),
)


class Worktrees(RuleBasedStateMachine):
    """Owners, operators, and an effect whose words come at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver(RULES)
        self.words: list[SettleWorktree] = []
        self.clean: set[int] = set()

    def rows(self) -> list[WorktreeRow]:
        return sorted(self.driver.machine.tables.worktrees.values())

    @rule(owner=OWNERS, count=st.integers(1, 3), emergency=st.booleans())
    def allocate(self, owner: str, count: int, emergency: bool) -> None:
        asked = spec({"git_worktrees": count}, priority=9 * emergency)
        (number,) = self.driver.allocate(f"{owner}{self.driver.seq}", specs=(asked,), emergency=emergency).numbers
        if number:
            paths = paths_of(number, self.driver.machine.tables)
            assert len(paths) == count
            taken = {int(path.rpartition("-")[2]) for path in paths}
            assert taken <= self.clean, "handed out before it was cleaned"
            self.clean -= taken

    @rule(index=st.integers(0, 5), by_owner=st.booleans())
    def release(self, index: int, by_owner: bool) -> None:
        rows = self.driver.rows()
        if index < len(rows):
            self.driver.release(*(() if by_owner else (rows[index].number,)), owners=(rows[index].owner,) * by_owner)

    @rule()
    def tend(self) -> None:
        self.driver.do(TendWorktrees())

    @rule(index=st.integers(0, 5), fails=st.booleans(), lost=st.booleans())
    def git_works(self, index: int, fails: bool, lost: bool) -> None:
        found = due(self.driver.machine.tables)
        if index < len(found):
            row = found[index]
            word = SettleWorktree(row.pool_id, row.number, row.step, "no luck" if fails else "")
            self.words.append(word)
            if not lost:
                self._hear(word)

    @rule(index=st.integers(0, 20))
    def an_old_word_comes_again(self, index: int) -> None:
        if index < len(self.words):
            self._hear(self.words[index])

    def _hear(self, word: SettleWorktree) -> None:
        before = self.driver.machine.tables.worktrees.get((word.pool_id, word.number))
        self.driver.do(word)
        after = self.driver.machine.tables.worktrees.get((word.pool_id, word.number))
        if after != before and after is not None and after.state is WorktreeState.READY:
            self.clean.add(word.number)

    @rule(number=NUMBERS, behind=st.integers(0, 2))
    def doubt(self, number: int, behind: int) -> None:
        row = self.driver.machine.tables.worktrees.get(("trees", number))
        if row is not None:
            self.driver.do(DoubtWorktree("trees", number, row.step - behind))

    @rule(number=NUMBERS, remove=st.booleans())
    def an_operator_asks(self, number: int, remove: bool) -> None:
        with contextlib.suppress(Refusal):
            self.driver.do((RemoveWorktree if remove else CleanWorktree)("trees", number))

    @rule(capacity=st.integers(0, 4))
    def resize(self, capacity: int) -> None:
        self.driver.update("trees", capacity=capacity)

    @rule()
    def everybody_is_silent(self) -> None:
        self.driver.listen(TTL + RULES.grace)
        assert not self.driver.rows()

    @rule()
    def take_over(self) -> None:
        self.driver.take_over()

    @invariant()
    def every_path_has_one_holder_at_most(self) -> None:
        held = [path for row in self.driver.rows() for path in paths_of(row.number, self.driver.machine.tables)]
        assert len(held) == len(set(held))

    @invariant()
    def what_is_ready_is_clean(self) -> None:
        self.clean &= {row.number for row in self.rows() if row.state is WorktreeState.READY}
        assert self.clean == {row.number for row in self.rows() if row.state is WorktreeState.READY}

    def teardown(self) -> None:
        """A replay and a snapshot give the same; and in the end all that the capacity says is ready."""
        assert tables(self.driver.replayed()) == tables(self.driver.machine) == tables(self.driver.reloaded())
        self.driver.listen(TTL + RULES.grace)
        self.driver.do(TendWorktrees())
        while found := due(self.driver.machine.tables):
            self.driver.do(SettleWorktree("trees", found[0].number, found[0].step))
            self.driver.do(TendWorktrees())
        assert [row.state for row in self.rows()] == [WorktreeState.READY] * self.driver.machine.tables.pools[
            "trees"
        ].capacity


TestWorktrees = Worktrees.TestCase
TestWorktrees.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
