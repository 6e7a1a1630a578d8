"""Runs git, so that nothing of the caller's environment, and no hook or daemon of the repository, has a say in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_OPTIONS: Final = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
    *("-c", "advice.detachedHead=false"),
)


def real(path: str | Path) -> Path:
    """Return the one path of what may have several."""
    return Path(os.path.realpath(path))


class GitError(Exception):
    """A git command failed; the message says which one and why."""


class Git:
    """Runs one command at a time to its end; who is cancelled has ended the command before."""

    def __init__(self, *, timeout_ms: int) -> None:
        """End a command that takes longer than that."""
        self._timeout_s = timeout_ms / 1000

    async def run(self, directory: str | Path, *arguments: str, lock: int | None = None, above: bool = False) -> str:
        """Run git in a directory and return what it wrote.

        Args:
            directory: where; unless `above`, no repository is looked for above it, whatever became of its `.git`.
            arguments: the command.
            lock: a file descriptor that it inherits: a file lock on it is held until the command has ended, whatever
                becomes of this process.
            above: the directory may lie anywhere in a repository.

        Raises:
            GitError: it failed, took too long, or there is no git.
        """
        argv = ("git", *_OPTIONS, "-C", str(directory), *arguments)
        name = f"git {' '.join(arguments)}"
        try:
            # In a thread and with `subprocess`, which uses vfork: uvloop forks, which gRPC does not like.
            process = await asyncio.to_thread(_start, argv, lock, "" if above else os.path.dirname(directory))
        except OSError as error:
            raise GitError(f"git did not start: {error.strerror}") from None
        waiting = asyncio.ensure_future(asyncio.to_thread(process.communicate, timeout=self._timeout_s))
        try:
            said, complained = await asyncio.shield(waiting)
        except subprocess.TimeoutExpired:
            await asyncio.to_thread(_end, process)
            raise GitError(f"{name} did not end within {self._timeout_s:g} s") from None
        except asyncio.CancelledError:
            _kill(process)
            await asyncio.gather(waiting, return_exceptions=True)
            raise
        if process.returncode:
            raise GitError(f"{name}: {complained.decode(errors='replace').strip() or f'exit {process.returncode}'}")
        return said.decode(errors="surrogateescape")

    async def common_directory(self, repository: str) -> Path:
        """Return what a repository is known by: all its worktrees have it in common. Raises `GitError`."""
        found = await self.run(repository, "rev-parse", "--path-format=absolute", "--git-common-dir", above=True)
        return real(found.rstrip("\n"))

    async def commit(self, repository: str | Path, ref: str) -> str:
        """Return which commit a ref names. Raises `GitError`."""
        found = await self.run(repository, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}", above=True)
        return found.strip()


def _start(argv: Sequence[str], lock: int | None, ceiling: str) -> subprocess.Popen[bytes]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.Popen(  # noqa: S603  # our own command
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=() if lock is None else (lock,),
        start_new_session=True,  # so that its helpers can be ended with it
        env={
            **inherited,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_CEILING_DIRECTORIES": ceiling,
            "LC_ALL": "C",
        },
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    _kill(process)
    process.communicate()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
