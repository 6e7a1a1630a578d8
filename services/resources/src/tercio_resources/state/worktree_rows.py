"""What the tables hold of git worktrees."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

DIMENSION: Final = "git_worktrees"
MOST_WORKTREES: Final = 1_000
"""Of one pool, whatever its capacity: each is a checkout on a disk."""


class WorktreeState(IntEnum):
    """What becomes of a worktree; the numbers are those of the contract."""

    PREPARING = 1
    READY = 2
    HELD = 3
    CLEANING = 4
    REMOVING = 5
    BROKEN = 6


class WorktreePoolRow(NamedTuple):
    """Where a pool keeps its worktrees.

    Attributes:
        repository: its common directory; of pools of the settings any path in it.
        folder: where they are made.
        ref: what is checked out.
        last_number: the highest that was given to one.
    """

    pool_id: str
    repository: str
    folder: str
    ref: str = "HEAD"
    last_number: int = 0

    def path(self, number: int) -> str:
        """Return where a worktree is. Numbers are never used again, so neither are paths."""
        return f"{self.folder}/{self.pool_id}-{number}"


class WorktreeRow(NamedTuple):
    """One worktree.

    Attributes:
        step: rises with each change, so that what was done about an earlier state is not taken for this one.
        allocation: who has it, while HELD.
        failures: of the present step.
        message: why.
        changed_wall: wall time in ms of the last change.
        made: it was READY once, so what is at its path is ours to remove.
    """

    pool_id: str
    number: int
    state: WorktreeState
    step: int = 0
    allocation: int = 0
    failures: int = 0
    message: str = ""
    changed_wall: int = 0
    made: bool = False
