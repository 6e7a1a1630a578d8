"""A real git repository, and a resources service that keeps worktrees of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from support.resources import Resources, running_resources
from tercio.api.resources.v1 import worktree_pb2
from tercio.api.resources.v1 import worktree_service_pb2 as pb
from tercio.api.resources.v1.worktree_service_pb2_grpc import WorktreeServiceStub
from tercio_common.clock import SystemClock
from tercio_common.journal.store import Store
from tercio_common.testing.eventually import eventually
from tercio_resources.settings import PoolSettings, ResourcesSettings, WorktreeSettings

_IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.org")
State = worktree_pb2.Worktree.State
_WRAPPER = """#!/bin/sh
for word in "$@"; do
  if [ "$word" = "{verb}" ] && mkdir "{folder}/struck" 2>/dev/null; then {deed}; fi
done
exec {git} "$@"
"""


def git(directory: Path, *arguments: str) -> str:
    """Run git and return what it said."""
    command = ["git", *_IDENTITY, "-C", str(directory), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=_environment())
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def new_repository(folder: Path) -> Path:
    """Make a repository with one commit on `main`, which ignores `*.log`."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "tracked.txt").write_text("as it was\n")
    (folder / ".gitignore").write_text("*.log\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def settings_for(repository: Path, folder: Path, *, ahead: int = 2, ref: str = "main") -> ResourcesSettings:
    """Return settings with a pool `trees` of that repository."""
    kept = WorktreeSettings(repository=str(repository), folder=str(folder), ref=ref, ahead=ahead)
    return ResourcesSettings(
        pools={"cpu": PoolSettings(dimension="cpu", capacity=1_000)}, worktrees={"trees": kept}, grace_ms=0
    )


def put_first(folder: Path, monkeypatch: pytest.MonkeyPatch, *, verb: str, deed: str) -> None:
    """Let the first git command with that verb do something else."""
    real = shutil.which("git")
    folder.mkdir()
    wrapper = folder / "git"
    wrapper.write_text(_WRAPPER.format(verb=verb, folder=folder, deed=deed, git=real))
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@dataclass(slots=True)
class Kept:
    """A resources service that keeps worktrees."""

    resources: Resources
    stub: Any

    async def rows(self) -> list[worktree_pb2.Worktree]:
        """Return every worktree."""
        return list((await self.stub.ListWorktrees(pb.ListWorktreesRequest())).worktrees)

    async def states(self) -> dict[int, str]:
        return {row.number: State.Name(row.state).removeprefix("STATE_") for row in await self.rows()}

    async def at_rest(self, *numbers: int) -> None:
        """Wait until exactly these are there, each ready or held."""

        async def arrived() -> bool:
            states = await self.states()
            return set(states) == set(numbers) and set(states.values()) <= {"READY", "HELD"}

        await eventually(arrived, within_ms=20_000)

    async def take(self, owner: str, count: int = 1, **fields: Any) -> list[Path]:
        """Take worktrees and return their paths."""
        await self.resources.allocate(owner, amounts={"git_worktrees": count}, **fields)
        held = await self.stub.GetHeldWorktrees(pb.GetHeldWorktreesRequest(owner=owner))
        return [Path(row.path) for row in held.worktrees]


@contextlib.asynccontextmanager
async def keeping(store: Store, settings: ResourcesSettings) -> AsyncIterator[Kept]:
    """Serve one replica on real time."""
    async with (
        running_resources(store, clock=SystemClock(), settings=settings) as resources,
        grpc.aio.insecure_channel(f"127.0.0.1:{resources.port}") as channel,
    ):
        yield Kept(resources, WorktreeServiceStub(channel))
