"""A git that fails, or takes for ever: worktrees are made anew, and nobody is given one that is not clean."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.git_repository import Kept, git, keeping, new_repository, put_first, settings_for
from tercio.api.resources.v1 import worktree_pb2
from tercio_common.clock import SystemClock
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    ("verb", "deed", "left"),
    [
        ("checkout", "echo 'fatal: no space left' >&2; exit 128", (2, 3)),
        ("clean", "exit 0", (2, 3)),
        ("clean", "exit 1", (1, 2)),
        ("checkout", "sleep 60", (2, 3)),
    ],
    ids=["no checkout", "a clean that does nothing", "a clean that fails once", "a checkout that hangs"],
)
async def test_what_git_did_not_clean_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, deed: str, left: tuple[int, ...]
) -> None:
    repository = new_repository(tmp_path / "repository")
    settings = settings_for(repository, tmp_path / "trees").model_copy(update={"git_timeout_ms": 2_000})
    async with keeping(MemoryStore(clock=SystemClock()), settings) as kept:
        await kept.at_rest(1, 2)
        (path,) = await kept.take("a")
        (path / "left").write_text("x")
        put_first(tmp_path / "bin", monkeypatch, verb=verb, deed=deed)
        await kept.resources.release(owners=("a",))
        await kept.at_rest(*left)
        paths = await kept.take("b", 2)
        assert not any(git(each, "status", "--porcelain") for each in paths)


async def test_what_git_could_not_make_is_broken_and_made_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = new_repository(tmp_path / "repository")
    put_first(tmp_path / "bin", monkeypatch, verb="add", deed="echo 'fatal: no space left' >&2; exit 128")
    async with keeping(MemoryStore(clock=SystemClock()), settings_for(repository, tmp_path / "trees")) as kept:
        row = await eventually(lambda: _broken(kept))
        assert "no space left" in row.message
        await kept.at_rest(1, 2)


async def test_a_leader_goes_on_with_what_the_last_one_had_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, store = new_repository(tmp_path / "repository"), MemoryStore(clock=SystemClock())
    settings = settings_for(repository, tmp_path / "trees")
    half = f"mkdir -p {tmp_path}/trees/trees-1/half; sleep 60"
    put_first(tmp_path / "bin", monkeypatch, verb="add", deed=half)
    async with keeping(store, settings) as first:
        await eventually(lambda: (tmp_path / "trees/trees-1/half").exists())
        assert await first.states() == {1: "PREPARING", 2: "PREPARING"}
    async with keeping(store, settings) as second:
        await second.at_rest(1, 2)
        assert not any(git(path, "status", "--porcelain") for path in await second.take("a", 2))


async def _broken(kept: Kept) -> worktree_pb2.Worktree | None:
    return next((row for row in await kept.rows() if row.state == worktree_pb2.Worktree.STATE_BROKEN), None)
