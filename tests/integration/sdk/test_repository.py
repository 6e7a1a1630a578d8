"""Which repository a folder belongs to, and what its next commit changes; with the real git."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.git_trees import GitTree
from tercio.repository import Repository, RepositoryError


@pytest.fixture
def tree(tmp_path: Path) -> GitTree:
    return GitTree.create(tmp_path / "repository")


def staged(tree: GitTree) -> list[str]:
    return [change.path for change in tree.repository().staged()]


def test_working_trees_of_one_repository_have_one_scope_and_clones_their_own(tree: GitTree, tmp_path: Path) -> None:
    second = tree.worktree(tmp_path / "second", "second")
    tree.run("clone", "--quiet", ".", str(tmp_path / "clone"))
    (tmp_path / "link").symlink_to(tree.top)
    scope = tree.repository().scope
    assert scope == str(tree.top / ".git")
    assert second.repository().scope == scope
    assert GitTree(tmp_path / "link").repository().scope == scope
    assert GitTree(tmp_path / "clone").repository().scope != scope


def test_a_setting_gives_clones_a_common_scope(tree: GitTree) -> None:
    tree.run("config", "tercio.scope", "github.com/acme/shop")
    assert tree.repository().scope == "github.com/acme/shop"


def test_a_folder_knows_where_in_the_tree_it_is(tree: GitTree) -> None:
    tree.commit({"ein ordner/ü/a": ""})
    below = tree.repository(below="ein ordner/ü")
    assert (below.top, below.prefix) == (tree.top, "ein ordner/ü/")
    assert below.common == tree.repository().common
    assert tree.repository().prefix == ""


def test_a_folder_in_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="not a git repository"):
        Repository(
            tmp_path, environment={**GitTree(tmp_path).environment, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
        )


def test_a_machine_without_git_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="git cannot be run"):
        Repository(tmp_path, environment={"PATH": str(tmp_path)})


def test_names_come_as_they_are(tree: GitTree) -> None:
    names = ["a b", "new\nline", "日本/ü", 'quo"te', "tab\t", ":raw"]
    tree.write(dict.fromkeys(names, "x"))
    (tree.top / "latin-\udcff").write_bytes(b"")
    tree.run("add", "--all")
    assert sorted(staged(tree)) == sorted([*names, "latin-\\xff"])


def test_what_is_added_changed_and_deleted_is_staged_and_a_renamed_file_is_two(tree: GitTree) -> None:
    tree.commit({"gone": "1\n", "moved": "2\n" * 50, "same": "3\n", "mode": "4\n"})
    tree.run("rm", "--quiet", "gone")
    tree.run("mv", "moved", "there")
    (tree.top / "mode").chmod(0o755)
    tree.write({"new": "5\n", "README": "changed\n"})
    (tree.top / "same").write_text("only in the working tree\n")
    assert staged(tree) == ["README", "gone", "mode", "moved", "new", "there"]


def test_the_first_commit_changes_all_that_it_holds(tmp_path: Path) -> None:
    tree = GitTree(tmp_path)
    tree.run("init", "--quiet")
    tree.write({"a": "", "b/c": ""})
    assert staged(tree) == ["a", "b/c"]


def test_a_second_working_tree_has_an_index_of_its_own(tree: GitTree, tmp_path: Path) -> None:
    second = tree.worktree(tmp_path / "second", "second")
    second.write({"a": ""})
    assert (staged(tree), staged(second)) == ([], ["a"])


def test_a_submodule_is_a_change_that_says_so(tree: GitTree, tmp_path: Path) -> None:
    GitTree.create(tmp_path / "library")
    tree.run("submodule", "--quiet", "add", str(tmp_path / "library"), "libs/library")
    changes = {change.path: change.is_submodule for change in tree.repository().staged()}
    assert changes == {".gitmodules": False, "libs/library": True}
    inner = GitTree(tree.top / "libs/library").repository()
    assert inner.scope == str(tree.top / ".git/modules/libs/library")
    tree.run("commit", "--quiet", "--message", "add")
    tree.run("rm", "--quiet", "libs/library")
    assert tree.repository().staged()[-1] == ("libs/library", True)


def test_a_merge_changes_what_no_parent_has(tree: GitTree) -> None:
    tree.commit({"both": "1\n2\n3\n4\n5\n", "fight": "1\n"})
    tree.run("checkout", "--quiet", "-b", "side")
    tree.commit({"both": "side\n2\n3\n4\n5\n", "fight": "side\n", "theirs": "1\n"})
    tree.run("checkout", "--quiet", "main")
    tree.commit({"both": "1\n2\n3\n4\nmain\n", "fight": "main\n", "ours": "1\n"})
    assert tree.attempt("merge", "side").returncode == 1
    tree.write({"fight": "settled\n"})
    assert staged(tree) == ["both", "fight"]


def test_a_clean_merge_tells_its_parents_in_the_environment(tree: GitTree) -> None:
    side = tree.commit({"theirs": "1\n"})
    tree.run("reset", "--quiet", "--soft", "HEAD~1")
    merging = Repository(tree.top, environment={**tree.environment, f"GITHEAD_{side}": "side"})
    assert staged(tree) == ["theirs"]
    assert merging.staged() == []
