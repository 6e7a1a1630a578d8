"""What the contracts are compared with, and that a broken contract is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_protos import ROOT, breaking, newest_release, stage

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
