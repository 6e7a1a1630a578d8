"""Who is still in a directory: a process that works in it, or has a file of it open, may write to it at any time.

Only processes of the same user can be looked at, or all of them for root; and what opens its file later is not seen.
So a worktree whose holder ended without a word is never used again, occupied or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil


def occupant(directory: Path) -> str:
    """Return the name and number of a process in a directory; empty when there is none."""
    own = psutil.Process().pid
    for process in psutil.process_iter(["name"]):
        if process.pid != own and any(path.is_relative_to(directory) for path in _places(process)):
            return f"{process.info['name']} ({process.pid})"
    return ""


def _places(process: psutil.Process) -> Iterator[Path]:
    try:
        yield Path(process.cwd())
        for opened in process.open_files():
            yield Path(opened.path)
    except (psutil.Error, OSError):
        return  # it has ended, or is another user's
