"""The reference pages have what the code has, and a stale one is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tercio_common.reasons import REASONS
from tools import generate_docs


def test_every_reason_has_a_row() -> None:
    page = generate_docs.reasons_page()
    assert [name for name in REASONS if f"| `{name}` | " not in page] == []


def test_a_setting_has_its_default_bounds_and_meaning() -> None:
    page = generate_docs.settings_page()
    assert "## registry\n" in page
    row = next(line for line in page.splitlines() if line.startswith("| `heartbeat_interval_ms`"))
    assert "| `10000` | at least `50`, at most `600000` | Mean time between two heartbeats" in row


def test_a_stale_page_fails_the_check_and_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate_docs, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    assert generate_docs.main(["--check"]) == 1
    assert "docs/settings.md is not what the code says" in capsys.readouterr().err
    assert list((tmp_path / "docs").iterdir()) == []
    assert generate_docs.main([]) == 0
    assert generate_docs.main(["--check"]) == 0
