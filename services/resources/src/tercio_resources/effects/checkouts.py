"""What is done to one git worktree: made, cleaned, removed. Each may be repeated from wherever it stopped.

A path is made only where nothing is. A file beside it, `.making-<name>`, says that what is there was begun here, so
that a half-made one is made anew after a crash, and nobody else's directory is ever touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tercio_resources.effects.git import Git, GitError, real
from tercio_resources.effects.occupants import occupant

_LEFT_BY_COMMANDS: Final = (
    "index.lock",
    "HEAD.lock",
    "rebase-merge",
    "rebase-apply",
    "sequencer",
    "BISECT_LOG",
    "BISECT_START",
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "AUTO_MERGE",
    "config.worktree",
    "config.worktree.lock",
    "info/sparse-checkout",
)
"""In the worktree's own part of the repository: commands that were killed in the middle, and what only it is set to."""


class Checkout:
    """One worktree of a repository. Every method raises `GitError` when it is not done."""

    def __init__(self, git: Git, *, repository: Path, path: Path, check: Callable[[], None], lock: int | None) -> None:
        """Work on the worktree at `path`.

        Args:
            git: runs the commands.
            repository: its common directory.
            path: where it is, or will be.
            check: called before each change; raises when nothing may be changed any more.
            lock: a file descriptor with a lock on the repository, for the commands to hold on to.
        """
        self._git, self._repository, self._path, self._check, self._lock = git, repository, path, check, lock

    async def make(self, ref: str) -> None:
        """Make the worktree, detached at what the ref names."""
        self._check()
        begun = self._beside("making")
        if is_there(self._path) and not begun.exists():
            raise GitError(f"{self._path} is there already, and was not made by this service")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            begun.touch()
        except OSError as error:
            raise GitError(f"{error.filename}: {error.strerror}") from None
        await self._discard()
        commit = await self._git.commit(self._repository, ref)
        await self._run(self._repository, "worktree", "add", "--quiet", "--force", "--detach", str(self._path), commit)
        await self.check_clean()

    def made(self) -> None:
        """Forget that it was being made: it is known to be there."""
        self._beside("making").unlink(missing_ok=True)

    async def clean(self, ref: str) -> None:
        """Bring it to what the ref names, without anything that its last holder left."""
        if inside := await asyncio.to_thread(occupant, self._path):
            raise GitError(f"{inside} is still in it")
        own = await self._own_directory()
        commit = await self._git.commit(self._repository, ref)
        self._check()
        await asyncio.to_thread(_forget_commands, own)
        if (own / "modules").exists():
            await self._run(self._path, "submodule", "deinit", "--all", "--force")
            await asyncio.to_thread(_delete, own / "modules")
        await self._run(self._path, "checkout", "--quiet", "--force", "--detach", commit)
        await self._run(self._path, "reset", "--quiet", "--hard", commit)
        try:
            await self._run(self._path, "clean", "-ffdxq")
        except GitError:
            await asyncio.to_thread(_make_writable, self._path)
            await self._run(self._path, "clean", "-ffdxq")
        await self.check_clean()

    async def remove(self, *, ours: bool) -> None:
        """Remove it; unless it is `ours` for certain, only if it was begun here."""
        self._check()
        if ours or self._beside("making").exists():
            await self._discard()
        self.made()

    async def check_clean(self) -> None:
        """Raise unless it is a worktree of the repository, detached, with nothing changed and nothing beside."""
        await self._own_directory()
        found = await self._git.run(self._path, "status", "--porcelain", "--ignored", "--untracked-files=all")
        flags = await self._git.run(self._path, "ls-files", "-v")
        hidden = [line for line in flags.splitlines() if not line.startswith("H ")]
        if changed := [*found.splitlines(), *hidden]:
            raise GitError(f"it is not clean: {changed[0].strip()}, and {len(changed) - 1} more")

    async def _own_directory(self) -> Path:
        """Return its own part of the repository, and make certain that it is a worktree of that one."""
        if not self._path.is_dir():
            raise GitError("it is gone")
        command = ("rev-parse", "--path-format=absolute", "--show-toplevel", "--git-common-dir", "--git-dir")
        top, common, own = map(real, (await self._git.run(self._path, *command)).splitlines())
        if top != real(self._path) or common != self._repository or own == common:
            raise GitError(f"it is no worktree of {self._repository} any more")
        return own

    async def _discard(self) -> None:
        """Delete it, and let the repository forget it. The path is gone first, so that nobody writes to it by name."""
        removing = self._beside("removing")
        await asyncio.to_thread(_delete, removing)
        with contextlib.suppress(FileNotFoundError):
            self._path.rename(removing)
        await asyncio.to_thread(_delete, removing)
        if self._repository.is_dir() and await self._is_known():
            await self._run(self._repository, "worktree", "remove", "--force", "--force", str(self._path))

    async def _is_known(self) -> bool:
        listed = await self._git.run(self._repository, "worktree", "list", "--porcelain", "-z", above=True)
        names = {f"worktree {path}" for path in (self._path, real(self._path.parent) / self._path.name)}
        return not names.isdisjoint(listed.split("\0"))

    async def _run(self, directory: Path, *arguments: str) -> None:
        self._check()
        await self._git.run(directory, *arguments, lock=self._lock, above=directory == self._repository)

    def _beside(self, what: str) -> Path:
        return self._path.with_name(f".{what}-{self._path.name}")


def is_there(path: str | Path) -> bool:
    """Tell whether there is anything of that name, also a link to nowhere."""
    return os.path.lexists(path)


def _forget_commands(own: Path) -> None:
    for name in _LEFT_BY_COMMANDS:
        _delete(own / name)


def _delete(path: Path) -> None:
    """Delete a file or a tree, also what is read-only. Raises `GitError`."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, onerror=_unprotected)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise GitError(f"{error.filename}: {error.strerror}") from None


def _unprotected(function: Callable[..., Any], path: str, _error: object) -> None:
    """Try again what a missing permission kept from being deleted, its folder's or its own."""
    for each in (os.path.dirname(path), path):
        with contextlib.suppress(OSError):
            os.chmod(each, stat.S_IRWXU)
    if function in {os.open, os.scandir, os.lstat}:
        shutil.rmtree(path)
    else:
        function(path)


def _make_writable(path: Path) -> None:
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            os.chmod(folder, stat.S_IRWXU)
