"""Where generated code goes, and how a difference is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.generate_protos import UnknownProtoPathError, differences, source_folder


@pytest.mark.parametrize(
    ("proto", "folder"),
    [
        pytest.param("tercio/api/registry/v1/agent.proto", "libs/tercio/src", id="a public contract"),
        pytest.param("tercio_common/records/v1/events.proto", "libs/common/src", id="records of every service"),
        pytest.param("externalscaler/externalscaler.proto", "services/scaling/src", id="what KEDA asks"),
        pytest.param("tercio_scheduler/records/v1/events.proto", "services/scheduler/src", id="records of one service"),
    ],
)
def test_a_proto_belongs_to_the_package_that_its_path_names(proto: str, folder: str) -> None:
    assert source_folder(proto) == Path(folder)


def test_a_proto_that_belongs_nowhere_is_refused() -> None:
    with pytest.raises(UnknownProtoPathError, match=r"proto/misc/thing\.proto is neither below tercio/api/"):
        source_folder("misc/thing.proto")


def test_missing_stale_and_different_files_are_told_apart(tmp_path: Path) -> None:
    wanted, present = (tmp_path / name / "libs/tercio/src/tercio/api" for name in ("wanted", "present"))
    for folder, files in ((wanted, {"a": "1", "b": "1", "c": "1"}), (present, {"b": "2", "c": "1", "d": "1"})):
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_text(content)
    lines = [line.split() for line in differences(tmp_path / "wanted", tmp_path / "present")]
    assert [(kind, Path(path).name) for kind, path in lines] == [("missing", "a"), ("stale", "d"), ("different", "b")]
