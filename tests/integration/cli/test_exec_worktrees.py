"""Attempts that are admitted with git worktrees work in them, and see which they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli_processes import Processes
from support.git_repository import git, new_repository
from tercio import Agent, BlockingContext, Context
from tercio.client import Client
from tercio.errors import ExhaustedError, NotFoundError
from tercio_common.testing.eventually import eventually

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    (tmp_path / "processes").mkdir()
    running = Processes(tmp_path / "processes")
    yield running
    running.end()


@pytest.fixture
def address(processes: Processes, tmp_path: Path) -> str:
    kept = {
        "repository": str(new_repository(tmp_path / "repository")),
        "folder": str(tmp_path / "trees"),
        "ahead": 3,
    }
    settings = json.dumps({"git_worktrees": kept})
    _, address = processes.dev("--port", "0", "--memory", TERCIO_RESOURCES__WORKTREES=settings)
    return address


async def test_a_command_runs_in_its_worktree_and_is_told_of_all_of_them(
    processes: Processes, address: str, tmp_path: Path
) -> None:
    script = "echo x > left; pwd; echo $TERCIO_WORKTREE; echo $TERCIO_WORKTREES; git status --porcelain"
    options = ("--agent-id", "a", "--address", address, "--worktree", "--task-type", "work")
    processes.tercio("agent", "exec", *options, "--", "sh", "-c", script, log="agent.log")
    async with Client(address=address) as client:
        seen = []
        for _ in range(2):
            handle = await client.submit("work", resources={"cpu": 100, "git_worktrees": 2})
            seen.append((await handle.result()).decode().split("\n"))
    for where, first, both, status, *_ in seen:
        assert where == first == both.split(":")[0]
        assert Path(where).parent == tmp_path / "trees"
        assert len(set(both.split(":"))) == 2
        assert status == "?? left", "the one before left nothing"


async def test_a_task_without_worktrees_runs_where_it_would_otherwise(
    processes: Processes, address: str, tmp_path: Path
) -> None:
    options = ("--agent-id", "a", "--address", address, "--worktree", "--directory", str(tmp_path))
    processes.tercio("agent", "exec", *options, "--", "sh", "-c", "pwd; echo $TERCIO_WORKTREE", log="agent.log")
    async with Client(address=address) as client:
        handle = await client.submit("work")
        assert await handle.result() == f"{tmp_path}\n\n".encode()


async def test_handlers_of_both_kinds_see_what_their_attempt_holds(address: str, tmp_path: Path) -> None:
    agent = Agent(agent_id="b", address=address, concurrency=2)

    @agent.task("async")
    async def asynchronous(task: Context) -> list[str]:
        return [str(path) for path in await task.worktrees()]

    @agent.task("plain")
    def plain(task: BlockingContext) -> list[str]:
        return [str(path) for path in task.worktrees()]

    running = asyncio.create_task(agent.run())
    async with Client(address=address) as client:
        for kind in ("async", "plain"):
            held = json.loads(await (await client.submit(kind, resources={"git_worktrees": 2})).result())
            assert len(set(held)) == 2
            assert all(Path(path).parent == tmp_path / "trees" for path in held)
            assert await (await client.submit(kind)).result() == b"[]"
    agent.stop()
    await running


async def test_a_client_holds_a_clean_worktree_while_its_block_runs(address: str, tmp_path: Path) -> None:
    async with Client(address=address) as client:
        async with client.worktree(wait_s=30) as path:
            assert git(path, "status", "--porcelain") == ""
            git(path, "checkout", "--quiet", "-b", "mine")
            (path / "tracked.txt").write_text("mine\n")
            git(path, "commit", "--quiet", "-am", "mine")
            async with client.allocate({"git_worktrees": 2}, wait_s=30) as rest:
                assert path not in await client.worktree_paths(rest.allocation_id)
                with pytest.raises(ExhaustedError):
                    async with client.worktree():
                        pytest.fail("there are only three")
        assert git(tmp_path / "repository", "show", "mine:tracked.txt") == "mine"
        await eventually(lambda: path.exists() and git(path, "rev-parse", "HEAD") == git(path, "rev-parse", "main"))


async def test_a_pool_that_only_counts_names_no_worktree(processes: Processes) -> None:
    _, address = processes.dev("--port", "0", "--memory", log="other.log")
    async with Client(address=address) as client:
        with pytest.raises(NotFoundError) as caught:
            async with client.worktree():
                pytest.fail("there is none")
    assert caught.value.reason == "WORKTREE_NOT_FOUND"
