"""What the contracts are compared with, and that a broken contract is seen."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.check_protos import ROOT, breaking, breaking_since_release, newest_release, stage

_RULES = (ROOT / "buf.yaml").read_text(encoding="utf-8")

_PROTO = """\
syntax = "proto3";
package tercio.api.demo.v1;
import "google/rpc/status.proto";
message Demo {
  google.rpc.Status status = 1;
  string kept = 2;
}
"""


def staged(folder: Path, text: str) -> Path:
    proto = folder / "source/tercio/api/demo/v1/demo.proto"
    proto.parent.mkdir(parents=True)
    proto.write_text(text)
    return stage(folder / "source", _RULES, folder / "staged")


@pytest.mark.parametrize(
    ("tags", "newest"),
    [
        pytest.param([], None, id="no tags"),
        pytest.param(["v1.0.0-rc.1", "vision", "v2"], None, id="no releases"),
        pytest.param(["v0.9.0", "v0.10.0", "v0.2.11"], "v0.10.0", id="numbers are not text"),
    ],
)
def test_the_newest_release_is_found_among_the_tags(tags: list[str], newest: str | None) -> None:
    assert newest_release(tags) == newest


# buf compiles both sides, which takes about a second on an idle machine.
@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        pytest.param(_PROTO, False, id="nothing changed"),
        pytest.param(_PROTO.replace("}", "  string added = 3;\n}"), False, id="a field was added"),
        pytest.param(_PROTO.replace("string kept = 2;", ""), True, id="a field was removed"),
        pytest.param(_PROTO.replace("string kept", "bytes kept"), True, id="a field changed its type"),
    ],
)
def test_a_broken_contract_fails_the_check(
    tmp_path: Path, changed: str, broken: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    before, now = staged(tmp_path / "before", _PROTO), staged(tmp_path / "now", changed)
    assert bool(breaking(now, before)) is broken
    assert ("A released contract broke" in capfd.readouterr().out) is broken


@pytest.mark.timeout(30)
def test_the_protos_of_this_repository_break_nothing_of_themselves(tmp_path: Path) -> None:
    now = stage(ROOT / "proto", _RULES, tmp_path / "now")
    assert breaking(now, stage(ROOT / "proto", _RULES, tmp_path / "before")) == 0


def git(repository: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=repository, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the proto committed, and no release yet."""
    folder = tmp_path / "repository"
    proto = folder / "proto/tercio/api/demo/v1/demo.proto"
    proto.parent.mkdir(parents=True)
    proto.write_text(_PROTO)
    git(folder, "init", "--quiet")
    git(folder, "add", "proto")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


@pytest.mark.timeout(30)
@pytest.mark.parametrize("released", [False, True], ids=["before the first release", "after a release"])
def test_only_a_release_binds(
    repository: Path, tmp_path: Path, released: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    if released:
        git(repository, "tag", "v1.0.0")
    now = staged(tmp_path / "now", _PROTO.replace("string kept = 2;", ""))
    assert bool(breaking_since_release(repository, now, _RULES, tmp_path / "before")) is released
    assert ("there is no release" in capfd.readouterr().out) is not released
