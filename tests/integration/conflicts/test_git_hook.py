"""The hook in real working trees: what git refuses, what it lets pass, and what the hook leaves alone."""

from __future__ import annotations

import asyncio
import contextlib
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.conflicts import Conflicts
from support.git_trees import GitTree
from tercio import Client
from tercio.git_hooks import install, uninstall
from tercio.repository import RepositoryError, escaped
from tercio.things import thing

pytestmark = pytest.mark.timeout(120)


class Guarded:
    """A working tree with the hook, and how commits in it end."""

    def __init__(self, tree: GitTree, port: int) -> None:
        self.tree = tree
        self.address = f"127.0.0.1:{port}"

    async def commit(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Commit what is staged."""
        return await self.git("commit", "--quiet", "--message", "change", *arguments, **environment)

    async def git(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {"TERCIO_ADDRESS": self.address, **environment}
        return await asyncio.to_thread(self.tree.attempt, *arguments, environment=given)


@pytest.fixture
async def client(conflicts: Conflicts) -> AsyncIterator[Client]:
    async with Client(address=f"127.0.0.1:{conflicts.port}") as client:
        yield client


@pytest.fixture
def guarded(conflicts: Conflicts, tmp_path: Path) -> Guarded:
    tree = GitTree.create(tmp_path / "repository")
    install(tree.repository())
    return Guarded(tree, conflicts.port)


def scope_of(guarded: Guarded) -> str:
    return guarded.tree.repository().scope


@contextlib.asynccontextmanager
async def held_by_eve(conflicts: Conflicts, guarded: Guarded, *names: str) -> AsyncIterator[None]:
    numbers = await conflicts.acquire("eve", things=[thing(name, scope=scope_of(guarded)) for name in names])
    yield
    await conflicts.release(*numbers)


async def test_what_another_holds_cannot_be_committed_until_it_is_released(
    conflicts: Conflicts, guarded: Guarded
) -> None:
    names = ["src/a b.py", "src/new\nline", "src/日本.py"]
    guarded.tree.write(dict.fromkeys([*names, "free"], "x"))
    async with held_by_eve(conflicts, guarded, "src/**"):
        refused = await guarded.commit()
        assert refused.returncode == 1
        for name in names:
            assert f"{name} is held by eve (exclusive claim " in refused.stderr
        assert "free is held" not in refused.stderr
        assert "--no-verify" in refused.stderr
        assert (await guarded.commit("--no-verify")).returncode == 0
    guarded.tree.write({"src/a b.py": "y"})
    assert (await guarded.commit()).returncode == 0


async def test_a_file_that_is_deleted_or_renamed_away_is_written_too(conflicts: Conflicts, guarded: Guarded) -> None:
    guarded.tree.commit({"old": "1\n" * 50, "gone": "2\n"})
    guarded.tree.run("mv", "old", "new")
    guarded.tree.run("rm", "--quiet", "gone")
    async with held_by_eve(conflicts, guarded, "old", "gone"):
        refused = await guarded.commit()
    assert "old is held by eve" in refused.stderr
    assert "gone is held by eve" in refused.stderr


async def test_it_holds_in_every_working_tree_and_for_commits_of_single_paths(
    conflicts: Conflicts, guarded: Guarded, tmp_path: Path
) -> None:
    second = Guarded(guarded.tree.worktree(tmp_path / "second", "second"), conflicts.port)
    second.tree.write({"a": "1", "b": "1"})
    async with held_by_eve(conflicts, guarded, "a"):
        assert (await second.commit("a")).returncode == 1
        assert (await second.commit("b")).returncode == 0


async def test_the_holder_commits_under_its_claims_and_not_after_it_lost_them(
    conflicts: Conflicts, guarded: Guarded, client: Client
) -> None:
    async with client.claims.hold("src/**", scope=scope_of(guarded), cancel_when_lost=False) as held:
        guarded.tree.write({"src/a": "1"})
        assert (await guarded.commit(**held.environment)).returncode == 0
        guarded.tree.write({"src/a": "2"})
        assert "is held by" in (await guarded.commit()).stderr
        await conflicts.release(*held.tokens)
        late = await guarded.commit(**held.environment)
        assert late.returncode == 1
        assert f"claim {min(held.tokens)}, under which this is committed, was lost" in late.stderr
        async with held_by_eve(conflicts, guarded, "src/a"):
            assert "is held by eve" in (await guarded.commit(**held.environment)).stderr


async def test_a_repository_may_demand_that_each_path_is_claimed(guarded: Guarded, client: Client) -> None:
    guarded.tree.run("config", "tercio.requireClaim", "true")
    guarded.tree.write({"a": "1", "b": "1"})
    assert "a is not claimed by who commits it" in (await guarded.commit()).stderr
    async with client.claims.hold("a", scope=scope_of(guarded)) as held:
        refused = await guarded.commit(**held.environment)
        assert "b is not claimed" in refused.stderr
        assert "a is not claimed" not in refused.stderr
    async with client.claims.hold("a", "?", scope=scope_of(guarded)) as held:
        assert (await guarded.commit(**held.environment)).returncode == 0
    async with client.claims.hold("a", scope=scope_of(guarded), mode="shared") as held:
        guarded.tree.write({"a": "2"})
        assert "a is not claimed" in (await guarded.commit(**held.environment)).stderr


async def test_a_submodule_is_written_with_all_that_it_holds(
    conflicts: Conflicts, guarded: Guarded, tmp_path: Path
) -> None:
    library = GitTree.create(tmp_path / "library")
    guarded.tree.run("submodule", "--quiet", "add", str(library.top), "lib[1]")
    guarded.tree.run("commit", "--quiet", "--no-verify", "--message", "add")
    GitTree(guarded.tree.top / "lib[1]").commit({"b": "1"})
    guarded.tree.run("add", "--all")
    async with held_by_eve(conflicts, guarded, escaped("lib[1]/README")):
        assert "is held by eve" in (await guarded.commit()).stderr
    assert (await guarded.commit()).returncode == 0


async def test_a_merge_is_held_up_by_what_it_edits_itself_alone(conflicts: Conflicts, guarded: Guarded) -> None:
    tree = guarded.tree
    tree.commit({"both": "1\n2\n3\n4\n5\n"})
    tree.run("checkout", "--quiet", "-b", "side")
    tree.commit({"both": "side\n2\n3\n4\n5\n", "theirs": "1\n"})
    tree.run("checkout", "--quiet", "main")
    tree.commit({"both": "1\n2\n3\n4\nmain\n"})
    async with held_by_eve(conflicts, guarded, "both"):
        refused = await guarded.git("merge", "--quiet", "side")
        assert "both is held by eve" in refused.stderr
        assert refused.returncode != 0
    tree.run("reset", "--quiet", "--hard")
    async with held_by_eve(conflicts, guarded, "theirs"):
        merged = await guarded.git("merge", "--quiet", "side")
        assert (merged.returncode, merged.stderr) == (0, "")


async def test_while_nobody_answers_commits_are_refused_unless_it_is_set_otherwise(guarded: Guarded) -> None:
    guarded.address = "127.0.0.1:1"
    guarded.tree.write({"a": "1"})
    refused = await guarded.commit()
    assert refused.returncode == 1
    assert "nobody can tell whether others hold what is committed" in refused.stderr
    assert "git commit --no-verify commits all the same" in refused.stderr
    guarded.tree.run("config", "tercio.whenDown", "allow")
    passed = await guarded.commit()
    assert passed.returncode == 0
    assert "nobody could tell" in passed.stderr


async def test_an_address_may_be_a_setting_of_the_repository(conflicts: Conflicts, guarded: Guarded) -> None:
    guarded.tree.run("config", "tercio.address", guarded.address)
    guarded.tree.write({"a": "1"})
    async with held_by_eve(conflicts, guarded, "a"):
        assert "a is held by eve" in (await guarded.commit(TERCIO_ADDRESS="")).stderr


def hook(tree: GitTree, text: str, *, folder: str = ".git/hooks") -> Path:
    path = tree.top / folder / "pre-commit"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


async def test_a_hook_that_was_there_runs_first_and_is_put_back(conflicts: Conflicts, tmp_path: Path) -> None:
    tree = GitTree.create(tmp_path / "repository")
    before = hook(tree, "echo before; exit $WANTED")
    text = before.read_text()
    for _ in range(2):
        install(tree.repository())
    guarded = Guarded(tree, conflicts.port)
    tree.write({"a": "1"})
    assert (await guarded.commit(WANTED="3")).returncode == 1
    passed = await guarded.commit(WANTED="0")
    assert (passed.returncode, "before" in passed.stderr) == (0, True)
    assert [path.name for path in uninstall(tree.repository())] == ["pre-commit", "pre-merge-commit"]
    assert before.read_text() == text
    assert before.stat().st_mode & stat.S_IXUSR
    assert sorted(path.name for path in before.parent.iterdir() if not path.name.endswith(".sample")) == ["pre-commit"]
    assert uninstall(tree.repository()) == []


async def test_it_goes_where_git_looks_for_hooks(conflicts: Conflicts, tmp_path: Path) -> None:
    tree = GitTree.create(tmp_path / "repository")
    tree.run("config", "core.hooksPath", ".githooks")
    tree.commit({"below/a": "1"})
    assert install(tree.repository(below="below"))[0] == tree.top / ".githooks/pre-commit"
    guarded = Guarded(tree, conflicts.port)
    tree.write({"a": "1"})
    async with held_by_eve(conflicts, guarded, "a"):
        assert "a is held by eve" in (await guarded.commit()).stderr


def test_two_hooks_that_cannot_both_be_kept_are_left_alone(tmp_path: Path) -> None:
    tree = GitTree.create(tmp_path / "repository")
    hook(tree, "exit 0")
    install(tree.repository())
    other = hook(tree, "exit 1")
    text = other.read_text()
    with pytest.raises(RepositoryError, match="only one can be kept"):
        install(tree.repository())
    assert other.read_text() == text


async def test_a_hook_whose_python_is_gone_refuses_and_says_why(guarded: Guarded) -> None:
    path = guarded.tree.top / ".git/hooks/pre-commit"
    path.write_text(path.read_text().replace(sys.executable, "/gone/python"))
    guarded.tree.write({"a": "1"})
    refused = await guarded.commit()
    assert refused.returncode == 1
    assert "--no-verify" in refused.stderr
    assert "/gone/python is gone" in refused.stderr
