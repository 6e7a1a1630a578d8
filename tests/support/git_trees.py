"""Real working trees of git, apart from whatever is configured on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tercio.repository import Repository

_APART = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_TERMINAL_PROMPT": "0",
    # Submodules in these tests are folders beside.
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "protocol.file.allow",
    "GIT_CONFIG_VALUE_0": "always",
    "GIT_CONFIG_KEY_1": "init.defaultBranch",
    "GIT_CONFIG_VALUE_1": "main",
}


class GitTree:
    """A working tree."""

    def __init__(self, top: Path) -> None:
        """Use a folder that is, or will be, a working tree."""
        self.top = top

    @classmethod
    def create(cls, top: Path) -> GitTree:
        """Make a repository with one commit."""
        top.mkdir(parents=True)
        tree = cls(top)
        tree.run("init", "--quiet")
        tree.commit({"README": "begin\n"})
        return tree

    @property
    def environment(self) -> dict[str, str]:
        """What git and its hooks see."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        return {**kept, **_APART}

    def repository(self, *, below: str = ".") -> Repository:
        """Look at it, or at a folder of it, as claims do."""
        return Repository(self.top / below, environment=self.environment)

    def worktree(self, top: Path, branch: str) -> GitTree:
        """Add a second working tree of the same repository."""
        self.run("worktree", "add", "--quiet", "-b", branch, str(top))
        return GitTree(top)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files and stage everything."""
        for name, text in files.items():
            path = self.top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.run("add", "--all")

    def commit(self, files: Mapping[str, str]) -> str:
        """Write files and commit everything, past any hook; return the commit."""
        self.write(files)
        self.run("commit", "--quiet", "--no-verify", "--message", "change")
        return self.run("rev-parse", "HEAD").strip()

    def run(self, *arguments: str) -> str:
        """Run git and return what it said.

        Raises:
            CalledProcessError: it failed.
        """
        ended = self.attempt(*arguments)
        ended.check_returncode()
        return ended.stdout

    def attempt(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run git, which may fail."""
        return subprocess.run(
            ["git", *arguments],
            cwd=self.top,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
