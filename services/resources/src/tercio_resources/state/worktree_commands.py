"""What can be asked about git worktrees, and what the effect that runs git says."""

from __future__ import annotations

from dataclasses import dataclass

from tercio_resources.state.rows import PoolRow
from tercio_resources.state.worktree_rows import WorktreePoolRow


@dataclass(frozen=True, slots=True)
class CreateWorktreePool:
    """Add a pool that keeps worktrees."""

    pool: PoolRow
    keeping: WorktreePoolRow


@dataclass(frozen=True, slots=True)
class TendWorktrees:
    """Let there be as many worktrees as each pool's capacity says."""


@dataclass(frozen=True, slots=True)
class SettleWorktree:
    """Say what became of the step of a worktree; without a message it was done."""

    pool_id: str
    number: int
    step: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class DoubtWorktree:
    """Say that a worktree is not clean although it should be, if it is still at that step."""

    pool_id: str
    number: int
    step: int


@dataclass(frozen=True, slots=True)
class CleanWorktree:
    """Clean a worktree that nobody holds, once more."""

    pool_id: str
    number: int


@dataclass(frozen=True, slots=True)
class RemoveWorktree:
    """Remove a worktree that nobody holds."""

    pool_id: str
    number: int


WorktreeCommand = CreateWorktreePool | TendWorktrees | SettleWorktree | DoubtWorktree | CleanWorktree | RemoveWorktree
