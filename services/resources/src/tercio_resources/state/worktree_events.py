"""What happened to git worktrees."""

from __future__ import annotations

from dataclasses import dataclass

from tercio_resources.state.worktree_rows import WorktreePoolRow, WorktreeRow


@dataclass(frozen=True, slots=True)
class WorktreePoolsSet:
    """Pools begin to keep worktrees."""

    rows: tuple[WorktreePoolRow, ...]


@dataclass(frozen=True, slots=True)
class WorktreePoolClosed:
    """A pool that was deleted has no worktrees left."""

    pool_id: str


@dataclass(frozen=True, slots=True)
class WorktreesSet:
    """Worktrees became something else."""

    rows: tuple[WorktreeRow, ...]


@dataclass(frozen=True, slots=True)
class WorktreeRemoved:
    """A worktree is no more."""

    pool_id: str
    number: int


WorktreeEvent = WorktreePoolsSet | WorktreePoolClosed | WorktreesSet | WorktreeRemoved
