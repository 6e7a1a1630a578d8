"""Every check runs, and a failing one says what fixes it."""

from __future__ import annotations

import pytest

from tools import check
from tools.check import CHECKS, Check, main


def a_check(name: str, code: str, *, fast: bool = False) -> Check:
    return Check(name=name, command=("python", "-c", code), fix=f"mend {name}", fast=fast)


def test_a_failure_does_not_hide_the_next(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    checks = (
        a_check("one", "raise SystemExit('torn')"),
        a_check("two", "pass"),
        a_check("three", "raise SystemExit(2)"),
    )
    monkeypatch.setattr(check, "CHECKS", checks)
    assert main([]) == 1
    said = capsys.readouterr().out
    assert "torn" in said
    assert "to fix: mend one" in said
    assert "mend two" not in said
    assert said.endswith("failed: one, three\n")


def test_a_quick_run_leaves_out_what_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "CHECKS", (a_check("slow", "raise SystemExit(1)"), a_check("fast", "pass", fast=True)))
    assert main(["--fast"]) == 0


def test_every_check_says_what_fixes_it() -> None:
    assert all(each.fix for each in CHECKS)
