"""Git worktrees by example: which are handed out, what becomes of those that come back, and what git's words change."""

from __future__ import annotations

from typing import Any

import pytest

from support.resources_machine import TTL, WALL, Driver, spec, tables
from tercio_common.errors import Refusal
from tercio_resources.state.commands import (
    CreatePool,
    DeletePool,
    Kind,
    Optimize,
    ReportUsage,
    Resize,
    Transfer,
    UsageReport,
)
from tercio_resources.state.reservation_rows import ClaimReservation, Reserve
from tercio_resources.state.rows import Amount, PoolRow, Spec
from tercio_resources.state.rules import Rules
from tercio_resources.state.worktree_commands import (
    CleanWorktree,
    CreateWorktreePool,
    DoubtWorktree,
    RemoveWorktree,
    SettleWorktree,
    TendWorktrees,
)
from tercio_resources.state.worktree_rows import WorktreePoolRow, WorktreeRow, WorktreeState
from tercio_resources.state.worktrees import due, paths_of

POOL = PoolRow("trees", "git_worktrees", "count", 3)
RULES = Rules(
    default_pools=(PoolRow("number", "git_worktrees", "count", 100), POOL),
    worktree_pools=(WorktreePoolRow("trees", "/repository/.git", "/trees"),),
    idle=2_000,
)


class Keeper(Driver):
    """A driver that also says what git did."""

    def settle(self, number: int, message: str = "") -> None:
        row = self.machine.tables.worktrees["trees", number]
        self.do(SettleWorktree("trees", number, row.step, message))

    def work(self) -> None:
        """Let git do everything that is due, and do it well."""
        self.do(TendWorktrees())
        while found := due(self.machine.tables):
            self.settle(found[0].number)
            self.do(TendWorktrees())

    def take(self, owner: str, count: int = 1) -> list[str]:
        return paths_of(self.grant(owner, amounts={"git_worktrees": count}), self.machine.tables)

    def states(self) -> dict[int, str]:
        return {row.number: row.state.name for row in sorted(self.machine.tables.worktrees.values())}

    def row(self, number: int) -> WorktreeRow:
        return self.machine.tables.worktrees["trees", number]


@pytest.fixture
def keeper() -> Keeper:
    made = Keeper(RULES)
    made.work()
    return made


def refused(keeper: Keeper, command: Any) -> str:
    with pytest.raises(Refusal) as caught:
        keeper.do(command)
    return caught.value.reason


def test_as_many_are_made_as_the_capacity_says_and_none_is_granted_before() -> None:
    keeper = Keeper(RULES)
    keeper.do(TendWorktrees())
    assert keeper.states() == {1: "PREPARING", 2: "PREPARING", 3: "PREPARING"}
    assert keeper.take("a") == []
    keeper.settle(2)
    assert keeper.take("a") == ["/trees/trees-2"]
    assert keeper.machine.pool_view(keeper.machine.tables.pools["trees"]).ready == 0


def test_who_asks_for_two_gets_two_paths_and_nobody_else_has_them(keeper: Keeper) -> None:
    assert keeper.take("a", 2) == ["/trees/trees-1", "/trees/trees-2"]
    assert keeper.take("b") == ["/trees/trees-3"]
    assert keeper.take("c") == []


def test_a_batch_shares_out_what_is_ready(keeper: Keeper) -> None:
    granted = keeper.allocate("a", "b", "c", "d", specs=(_one(),))
    assert [paths_of(number, keeper.machine.tables) for number in granted.numbers] == [
        ["/trees/trees-1"],
        ["/trees/trees-2"],
        ["/trees/trees-3"],
        [],
    ]
    assert granted.shortages[3].gaps[0].bound.available == 0


def test_what_is_released_is_cleaned_before_it_is_granted_again(keeper: Keeper) -> None:
    keeper.take("a", 3)
    keeper.release(owners=("a",))
    assert set(keeper.states().values()) == {"CLEANING"}
    assert keeper.take("b") == []
    keeper.settle(3)
    assert keeper.take("b") == ["/trees/trees-3"]


@pytest.mark.parametrize("how", ["silence", "revocation"])
def test_what_is_taken_away_is_removed_and_made_under_another_name(keeper: Keeper, how: str) -> None:
    number = keeper.grant("a", amounts={"git_worktrees": 1})
    if how == "silence":
        keeper.listen(TTL + RULES.grace)
    else:
        keeper.update("trees", capacity=3)
        keeper.allocate("b", specs=(_one(3, priority=9),), emergency=True)
        keeper.listen(RULES.grace)
    assert number not in keeper.machine.tables.allocations
    assert keeper.row(1).state is WorktreeState.REMOVING
    assert keeper.row(1).message
    keeper.work()
    assert keeper.states() == {2: "READY", 3: "READY", 4: "READY"}


def test_what_cannot_be_cleaned_is_removed_and_made_under_another_name(keeper: Keeper) -> None:
    keeper.take("a")
    keeper.release(owners=("a",))
    keeper.settle(1, "a file is in use")
    assert (keeper.row(1).state, keeper.row(1).message) == (WorktreeState.REMOVING, "a file is in use")
    keeper.settle(1, "still")
    assert keeper.row(1).failures == 1
    keeper.work()
    assert keeper.states() == {2: "READY", 3: "READY", 4: "READY"}


def test_what_cannot_be_made_is_broken_until_it_can(keeper: Keeper) -> None:
    keeper.update("trees", capacity=4)
    keeper.do(TendWorktrees())
    keeper.settle(4, "no space")
    keeper.settle(4, "still none")
    assert (keeper.row(4).state, keeper.row(4).failures) == (WorktreeState.BROKEN, 2)
    keeper.do(CleanWorktree("trees", 4))
    assert keeper.row(4).state is WorktreeState.PREPARING
    keeper.work()
    assert keeper.row(4) == keeper.row(4)._replace(state=WorktreeState.READY, failures=0, message="", made=True)


def test_a_late_word_about_an_earlier_step_changes_nothing(keeper: Keeper) -> None:
    keeper.take("a")
    keeper.release(owners=("a",))
    late = SettleWorktree("trees", 1, keeper.row(1).step)
    keeper.do(late)
    keeper.take("b")
    keeper.release(owners=("b",))
    dirty = keeper.row(1)
    for word in (late, late, DoubtWorktree("trees", 1, late.step), SettleWorktree("trees", 99, 1)):
        keeper.do(word)
    assert keeper.row(1) == dirty


def test_what_is_ready_and_not_clean_is_cleaned_unless_somebody_has_it_by_now(keeper: Keeper) -> None:
    doubts = [DoubtWorktree("trees", number, keeper.row(number).step) for number in (1, 2)]
    keeper.take("a")
    for doubt in doubts:
        keeper.do(doubt)
    assert keeper.states() == {1: "HELD", 2: "CLEANING", 3: "READY"}


def test_a_transfer_hands_the_worktree_over_as_it_is(keeper: Keeper) -> None:
    keeper.take("a")
    keeper.do(Transfer(from_owner="a", to_owner="b"))
    (number,) = keeper.machine.tables.holdings.of("b")
    assert paths_of(number, keeper.machine.tables) == ["/trees/trees-1"]
    assert keeper.row(1).state is WorktreeState.HELD


def test_a_cut_takes_nothing_from_who_holds_it(keeper: Keeper) -> None:
    keeper.take("a", 2)
    keeper.update("trees", capacity=1)
    keeper.work()
    assert keeper.states() == {1: "HELD", 2: "HELD"}
    keeper.release(owners=("a",))
    assert keeper.take("b") == []
    keeper.work()
    assert keeper.states() == {1: "READY"}


def test_a_deleted_pool_is_closed_when_its_last_worktree_is_gone(keeper: Keeper) -> None:
    keeper.do(DeletePool("trees"))
    keeper.do(TendWorktrees())
    assert set(keeper.states().values()) == {"REMOVING"}
    assert refused(keeper, CreatePool(POOL)) == "POOL_EXISTS"
    keeper.work()
    keeper.do(CreateWorktreePool(POOL, RULES.worktree_pools[0]))
    keeper.work()
    assert keeper.seq > min(keeper.states()) > 3, "no path comes back"
    assert refused(keeper, CreateWorktreePool(POOL, RULES.worktree_pools[0])) == "POOL_EXISTS"


def test_what_is_held_or_unknown_is_neither_cleaned_nor_removed(keeper: Keeper) -> None:
    keeper.take("a")
    for command in (CleanWorktree, RemoveWorktree):
        assert refused(keeper, command("trees", 1)) == "WORKTREE_IN_USE"
        assert refused(keeper, command("trees", 9)) == "WORKTREE_NOT_FOUND"
    keeper.do(RemoveWorktree("trees", 2))
    keeper.do(RemoveWorktree("trees", 2))
    keeper.do(CleanWorktree("trees", 3))
    assert keeper.states() == {1: "HELD", 2: "REMOVING", 3: "CLEANING"}


def test_while_a_pool_has_worktrees_a_mere_number_grants_none(keeper: Keeper) -> None:
    keeper.take("a", 3)
    assert keeper.granted("number") == 0
    assert keeper.take("b") == []


def test_optimisation_neither_shrinks_nor_moves_worktrees(keeper: Keeper) -> None:
    number = keeper.grant("a", amounts={"git_worktrees": 2})
    for _ in range(4):
        keeper.do(ReportUsage((UsageReport(number, (Amount("git_worktrees", 1),)),)))
        keeper.listen(1_000)
    assert keeper.do(Optimize((Kind.SHRINK, Kind.COMPACT))) == []


def test_a_new_leader_finds_the_same_worktrees(keeper: Keeper) -> None:
    keeper.take("a")
    keeper.release(owners=("a",))
    before = tables(keeper.machine)
    keeper.take_over()
    assert tables(keeper.machine) == before == tables(keeper.reloaded())
    keeper.work()
    assert set(keeper.states().values()) == {"READY"}


def _one(count: int = 1, **fields: Any) -> Spec:
    return spec({"git_worktrees": count}, **fields)


def test_worktrees_are_not_resized(keeper: Keeper) -> None:
    keeper.take("a")
    (row,) = keeper.rows()
    more = Resize(number=row.number, owner="a", amounts=(Amount("git_worktrees", 2),))
    assert refused(keeper, more) == "INVALID_ARGUMENT"


def test_what_is_reserved_is_handed_out_by_name_when_it_is_claimed(keeper: Keeper) -> None:
    taken = keeper.take("a", 2)
    start = WALL + keeper.now + 5_000
    asked = Reserve(owner="r", spec=spec({"git_worktrees": 1}), start=start, end=start + 60_000)
    number = keeper.do(asked).number
    assert keeper.take("late") == [], "it is kept for the reservation"
    keeper.listen(5_000)
    claimed = keeper.do(ClaimReservation(number, "r"))
    (path,) = paths_of(claimed.number, keeper.machine.tables)
    assert path not in taken
