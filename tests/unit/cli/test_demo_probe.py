"""The demo's bad configuration is one that its agent takes, and with which nothing works."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from examples.tickets import probe, regression


@pytest.mark.parametrize(
    ("document", "taken", "runs"),
    [
        pytest.param(regression.GOOD, 0, 0, id="good"),
        pytest.param(regression.BAD, 0, 1, id="bad"),
        pytest.param({}, 0, 0, id="the agent's own defaults"),
        pytest.param({"command": [1]}, 1, None, id="malformed"),
        pytest.param({"command": []}, 1, None, id="empty"),
    ],
)
def test_what_is_well_formed_is_taken_whether_it_works_or_not(
    document: object, taken: int, runs: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "probe.json"
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(document)))
    assert probe.main("take", file) == taken
    assert file.exists() is (taken == 0)
    if runs is not None:
        assert probe.main("run", file) == runs
