"""Where the resources service keeps the git worktrees that tickets run in.

It makes them, hands one to each ticket that is admitted, and cleans it before the next. When it stops they stay where
they are, for it would go on with them; so here they are removed, however the demo ends.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

POOL = "git_worktrees"
CPU = "cpu"
MILLICORES = 24_000
"""More than every slot needs at once: what waits here waits for an agent."""


@contextlib.contextmanager
def pools(repository: Path, folder: Path, *, ahead: int) -> Iterator[dict[str, str]]:
    """Give the settings of the pools, with that many worktrees at the repository's HEAD; remove them at the end."""
    trees = folder / "worktrees"
    kept = {
        "repository": str(repository),
        "folder": str(trees),
        "ref": _git(repository, "rev-parse", "HEAD"),
        "ahead": ahead,
    }
    try:
        yield {
            "TERCIO_RESOURCES__POOLS": json.dumps({CPU: {"dimension": CPU, "capacity": MILLICORES}}),
            "TERCIO_RESOURCES__WORKTREES": json.dumps({POOL: kept}),
        }
    finally:
        for path in trees.glob(f"{POOL}-*"):
            _git(repository, "worktree", "remove", "--force", "--force", str(path), check=False)
        _git(repository, "worktree", "prune", check=False)


def _git(directory: Path, *arguments: str, check: bool = True) -> str:
    command = ["git", "-C", str(directory), *arguments]
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout.strip()
