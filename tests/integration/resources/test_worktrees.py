"""Worktrees of a real repository: made, handed out, and clean again whatever their holder left behind."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from support.git_repository import Kept, git, keeping, new_repository, settings_for
from support.registry import fields_of, reason_of
from tercio.api.resources.v1 import resource_service_pb2 as pool_pb
from tercio.api.resources.v1 import worktree_pb2
from tercio.api.resources.v1 import worktree_service_pb2 as pb
from tercio_common.clock import SystemClock
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.eventually import eventually
from tercio_resources.effects.git import real

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return new_repository(tmp_path / "repository")


@pytest.fixture
def real_store() -> MemoryStore:
    return MemoryStore(clock=SystemClock())


@pytest.fixture
async def kept(repository: Path, tmp_path: Path, real_store: MemoryStore) -> AsyncIterator[Kept]:
    async with keeping(real_store, settings_for(repository, tmp_path / "trees")) as running:
        await running.at_rest(1, 2)
        yield running


def is_clean(path: Path, repository: Path) -> bool:
    return (path / ".git").exists() and (
        git(path, "status", "--porcelain", "--ignored") == ""
        and git(path, "rev-parse", "HEAD") == git(repository, "rev-parse", "main")
        and (path / "tracked.txt").read_text() == "as it was\n"
        and subprocess.run(["git", "-C", path, "symbolic-ref", "-q", "HEAD"], check=False).returncode == 1
    )


async def test_a_grant_names_the_paths(kept: Kept, repository: Path, tmp_path: Path) -> None:
    paths = await kept.take("a", 2)
    assert paths == [tmp_path / "trees/trees-1", tmp_path / "trees/trees-2"]
    assert all(is_clean(path, repository) for path in paths)
    (shown,) = await kept.resources.listed()
    assert shown.worktree_paths == [str(path) for path in paths]
    assert [row.owner for row in await kept.rows()] == ["a", "a"]
    assert (await kept.resources.pool("trees")).ready_worktrees == 0
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await kept.take("b")
    assert reason_of(caught.value) == "INSUFFICIENT_RESOURCES"


def _edits(path: Path) -> None:
    (path / "tracked.txt").write_text("otherwise\n")
    git(path, "add", ".")


def _leaves_files(path: Path) -> None:
    (path / "new/deep").mkdir(parents=True)
    (path / "new/deep/file").write_text("x")
    (path / "ignored.log").write_text("x")
    new_repository(path / "nested")


def _leaves_read_only_files(path: Path) -> None:
    (path / "locked").mkdir()
    (path / "locked/file").write_text("x")
    (path / "locked/file").chmod(0o400)
    (path / "locked").chmod(0o500)


def _works_on_a_branch(path: Path) -> None:
    git(path, "checkout", "--quiet", "-b", "work")
    (path / "tracked.txt").write_text("committed\n")
    git(path, "commit", "--quiet", "-am", "work")


def _is_in_the_middle_of_a_rebase(path: Path) -> None:
    for name, text in (("one", "1\n"), ("two", "2\n")):
        git(path, "checkout", "--quiet", "-b", name, "main")
        (path / "tracked.txt").write_text(text)
        git(path, "commit", "--quiet", "-am", name)
    with pytest.raises(subprocess.CalledProcessError):
        git(path, "rebase", "one")


def _was_killed_in_the_middle(path: Path) -> None:
    (Path(git(path, "rev-parse", "--absolute-git-dir")) / "index.lock").touch()


def _makes_it_sparse(path: Path) -> None:
    git(path, "sparse-checkout", "set", "--no-cone", "nothing")
    git(path, "sparse-checkout", "reapply")


def _locks_it(path: Path) -> None:
    git(path, "worktree", "lock", str(path))
    _leaves_files(path)


def _has_a_submodule(path: Path) -> None:
    other = new_repository(path.parent.parent / "other")
    git(path, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "sub")
    (path / "sub/dirty").write_text("x")


@pytest.mark.parametrize(
    "leave",
    [
        _edits,
        _leaves_files,
        _leaves_read_only_files,
        _works_on_a_branch,
        _is_in_the_middle_of_a_rebase,
        _was_killed_in_the_middle,
        _locks_it,
        _has_a_submodule,
    ],
)
async def test_what_is_released_comes_back_clean(kept: Kept, repository: Path, leave: Callable[[Path], None]) -> None:
    (path,) = await kept.take("a")
    leave(path)
    await kept.resources.release(owners=("a",))
    await kept.at_rest(1, 2)
    assert await kept.take("b", 2) == [path, path.with_name("trees-2")]
    assert is_clean(path, repository)
    assert not list(path.glob("*.log"))
    rebase = Path(git(path, "rev-parse", "--absolute-git-dir")) / "rebase-merge"
    assert not rebase.exists()


def _hides_a_change(path: Path) -> None:
    git(path, "update-index", "--assume-unchanged", "tracked.txt")
    (path / "tracked.txt").write_text("hidden\n")


def _deletes_it(path: Path) -> None:
    subprocess.run(["rm", "-rf", path], check=True)


def _makes_it_a_repository_of_its_own(path: Path) -> None:
    (path / ".git").unlink()
    git(path, "init", "--quiet")


def _deletes_its_link(path: Path) -> None:
    (path / ".git").unlink()


@pytest.mark.parametrize(
    "leave", [_deletes_it, _makes_it_a_repository_of_its_own, _deletes_its_link, _makes_it_sparse, _hides_a_change]
)
async def test_what_cannot_be_cleaned_is_made_anew_under_another_name(
    kept: Kept, repository: Path, leave: Callable[[Path], None]
) -> None:
    (path,) = await kept.take("a")
    leave(path)
    await kept.resources.release(owners=("a",))
    await kept.at_rest(2, 3)
    assert not path.exists()
    assert str(path) not in git(repository, "worktree", "list")


async def _all_clean(kept: Kept, repository: Path) -> bool:
    rows = await kept.rows()
    ready = [row for row in rows if row.state == worktree_pb2.Worktree.STATE_READY]
    return len(ready) == 2 == len(rows) and all(is_clean(Path(row.path), repository) for row in ready)


async def test_a_worktree_that_a_process_still_uses_is_given_to_nobody_else(kept: Kept) -> None:
    (path,) = await kept.take("a")
    zombie = await asyncio.create_subprocess_exec("sleep", "60", cwd=path)
    try:
        await kept.resources.release(owners=("a",))
        await kept.at_rest(2, 3)
        assert not path.exists()
    finally:
        zombie.kill()
        await zombie.wait()


async def test_who_falls_silent_loses_the_worktree_and_its_path(kept: Kept) -> None:
    (path,) = await kept.take("a", ttl=Duration(seconds=1))
    await kept.at_rest(2, 3)
    with pytest.raises(FileNotFoundError):
        (path / "late").write_text("x")


async def test_a_worktree_that_vanished_while_it_was_ready_is_made_anew(
    kept: Kept, repository: Path, real_store: MemoryStore, tmp_path: Path
) -> None:
    await kept.resources.service.host.drain()
    _deletes_it(tmp_path / "trees/trees-1")
    (tmp_path / "trees/trees-2/left").write_text("x")
    async with keeping(real_store, settings_for(repository, tmp_path / "trees")) as after:
        await eventually(lambda: _all_clean(after, repository), within_ms=20_000)
        assert set(await after.states()) == {2, 3}


async def test_a_directory_of_somebody_else_is_left_alone(
    repository: Path, tmp_path: Path, real_store: MemoryStore
) -> None:
    mine = tmp_path / "trees/trees-1"
    mine.mkdir(parents=True)
    (mine / "precious").write_text("x")
    async with keeping(real_store, settings_for(repository, tmp_path / "trees")) as kept:
        await eventually(lambda: _states_are(kept, {1: "BROKEN", 2: "READY"}))
        assert "is there already" in (await kept.rows())[0].message
        await kept.stub.RemoveWorktree(pb.RemoveWorktreeRequest(request_id="r", pool_id="trees", number=1))
        await kept.at_rest(2, 3)
    assert (mine / "precious").read_text() == "x"


async def _states_are(kept: Kept, states: dict[int, str]) -> bool:
    return await kept.states() == states


async def test_two_worktrees_of_a_repository_are_one_repository(
    kept: Kept, repository: Path, tmp_path: Path, real_store: MemoryStore
) -> None:
    git(repository, "worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    (tmp_path / "linked/below").mkdir()
    pool = worktree_pb2.WorktreePool(
        pool_id="more", repository=str(tmp_path / "linked/below"), folder=str(tmp_path / "more")
    )
    request = pb.CreateWorktreePoolRequest(request_id="c", worktree_pool=pool, capacity=1, labels={"kind": "b"})
    created = (await kept.stub.CreateWorktreePool(request)).worktree_pool
    assert created.repository == str(real(repository / ".git"))
    assert (await kept.stub.CreateWorktreePool(request)).worktree_pool == created
    await eventually(lambda: _is_made(kept))
    (path,) = await kept.take("a", pool_labels={"kind": "b"})
    assert path.parent == tmp_path / "more"
    await kept.resources.release(owners=("a",))
    await kept.resources.stub.DeletePool(pool_pb.DeletePoolRequest(request_id="d", pool_id="more"))
    await eventually(lambda: _is_closed(kept))
    assert list((tmp_path / "more").iterdir()) == []


async def _is_made(kept: Kept) -> bool:
    return (await kept.resources.pool("more")).ready_worktrees == 1


async def _is_closed(kept: Kept) -> bool:
    pools = (await kept.stub.ListWorktreePools(pb.ListWorktreePoolsRequest())).worktree_pools
    return [pool.pool_id for pool in pools] == ["trees"]


async def test_every_violation_of_a_new_pool_is_told_at_once(kept: Kept, tmp_path: Path) -> None:
    pool = worktree_pb2.WorktreePool(pool_id="a b", folder="relative", ref="--force")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await kept.stub.CreateWorktreePool(pb.CreateWorktreePoolRequest(request_id="c", worktree_pool=pool))
    named = [field.removeprefix("worktree_pool.") for field in fields_of(caught.value)]
    assert named == ["pool_id", "repository", "folder", "ref", "capacity"]


@pytest.mark.parametrize("ref", ["HEAD", "no-such-branch"])
async def test_a_pool_needs_a_repository_and_a_commit(kept: Kept, repository: Path, tmp_path: Path, ref: str) -> None:
    where = repository if ref != "HEAD" else tmp_path / "nothing"
    pool = worktree_pb2.WorktreePool(pool_id="x", repository=str(where), folder=str(tmp_path / "x"), ref=ref)
    request = pb.CreateWorktreePoolRequest(request_id="c", worktree_pool=pool, capacity=1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await kept.stub.CreateWorktreePool(request)
    assert reason_of(caught.value) == "REPOSITORY_NOT_FOUND"


async def test_pages_of_worktrees_follow_each_other(kept: Kept) -> None:
    first = await kept.stub.ListWorktrees(pb.ListWorktreesRequest(page_size=1))
    rest = await kept.stub.ListWorktrees(pb.ListWorktreesRequest(page_size=1, page_token=first.next_page_token))
    assert [row.number for row in (*first.worktrees, *rest.worktrees)] == [1, 2]
    assert rest.next_page_token == ""


async def test_what_is_held_is_cleaned_for_nobody(kept: Kept) -> None:
    await kept.take("a")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await kept.stub.CleanWorktree(pb.CleanWorktreeRequest(request_id="c", pool_id="trees", number=1))
    assert reason_of(caught.value) == "WORKTREE_IN_USE"
