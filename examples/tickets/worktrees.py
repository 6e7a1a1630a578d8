"""Git worktrees, one for each slot of an agent, so that no two tickets see each other's files.

They are made one after the other, because `git worktree add` in parallel takes locks that fail, and before any ticket
needs one, so that making them costs no ticket anything. However the demo ends, they are removed.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def worktrees(repository: Path, folder: Path, *, count: int) -> Iterator[list[Path]]:
    """Make that many worktrees at HEAD in the folder; remove them at the end."""
    _git(repository, "worktree", "prune")
    made: list[Path] = []
    try:
        for number in range(count):
            made.append(folder / f"worktree-{number:02}")
            _git(repository, "worktree", "add", "--quiet", "--detach", str(made[-1]), "HEAD")
        yield made
    finally:
        for path in made:
            _git(repository, "worktree", "remove", "--force", "--force", str(path), check=False)
        _git(repository, "worktree", "prune", check=False)


def changed(worktree: Path) -> list[str]:
    """Return what a ticket left behind in a worktree, apart from what git ignores."""
    return _git(worktree, "status", "--porcelain").splitlines()


def _git(directory: Path, *arguments: str, check: bool = True) -> str:
    command = ["git", "-C", str(directory), *arguments]
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout
