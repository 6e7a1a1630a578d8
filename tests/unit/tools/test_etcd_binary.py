"""Which etcd is accepted, and what is said about the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import etcd_binary
from tools.etcd_binary import UnfitEtcdError, find_or_build, parse_version, wanted_version, why_unfit


def pretend_etcd(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / "etcd"
    binary.write_text(f"#!/bin/sh\necho 'etcd Version: {version}'\necho 'Go Version: go1.2.3'\n")
    binary.chmod(0o755)
    return binary


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without etcd, whose cache and PATH are below the returned folder, and which cannot build."""

    def refuse_to_build(target: Path) -> None:
        message = f"would build {target}"
        raise UnfitEtcdError(message)

    monkeypatch.delenv("TERCIO_ETCD", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(etcd_binary, "_build", refuse_to_build)
    (tmp_path / "bin").mkdir()
    # An etcd that the machine happens to have in /usr/bin is not this test's affair.
    monkeypatch.setattr(etcd_binary.shutil, "which", lambda name: _which(tmp_path / "bin" / name))
    return tmp_path


def _which(path: Path) -> str | None:
    return str(path) if path.exists() else None


def test_the_version_is_read_from_what_etcd_prints() -> None:
    assert parse_version("etcd Version: 3.6.16\nGit SHA: abc\nGo Version: go1.26.8\n") == (3, 6, 16)


def test_the_version_to_build_is_read_from_go_mod() -> None:
    assert why_unfit(wanted_version()) is None


def test_text_without_a_version_is_refused_with_that_text() -> None:
    with pytest.raises(UnfitEtcdError, match="no etcd version in 'command not found'"):
        parse_version("command not found")


@pytest.mark.parametrize(
    "version",
    [(3, 4, 42), (3, 5, 28), (3, 6, 9), (3, 6, 16), (3, 7, 0), (4, 0, 0)],
    ids=lambda v: ".".join(map(str, v)),
)
def test_a_version_with_linearizable_transactions_is_accepted(version: tuple[int, int, int]) -> None:
    assert why_unfit(version) is None


@pytest.mark.parametrize(
    "version", [(2, 3, 8), (3, 3, 27), (3, 4, 41), (3, 5, 27), (3, 6, 8)], ids=lambda v: ".".join(map(str, v))
)
def test_a_version_with_stale_transactions_is_refused_and_the_safe_ones_are_named(
    version: tuple[int, int, int],
) -> None:
    reason = why_unfit(version)
    assert reason is not None
    assert all(safe in reason for safe in ("3.4.42", "3.5.28", "3.6.9"))


def test_the_one_named_in_the_environment_comes_first(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_etcd(machine / "bin", "3.6.16")
    chosen = pretend_etcd(machine / "chosen", "3.5.28")
    monkeypatch.setenv("TERCIO_ETCD", str(chosen))
    assert find_or_build() == chosen


def test_an_unfit_one_named_in_the_environment_is_an_error(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_etcd(machine / "bin", "3.6.16")
    monkeypatch.setenv("TERCIO_ETCD", str(pretend_etcd(machine / "chosen", "3.5.6")))
    with pytest.raises(UnfitEtcdError, match=r"etcd 3\.5\.6 can serve stale reads"):
        find_or_build()


def test_a_path_that_does_not_run_is_an_error(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCIO_ETCD", str(machine / "nothing-here"))
    with pytest.raises(UnfitEtcdError, match="does not run"):
        find_or_build()


def test_a_safe_one_on_the_path_is_used(machine: Path) -> None:
    installed = pretend_etcd(machine / "bin", "3.4.42")
    assert find_or_build() == installed


def test_an_unsafe_one_on_the_path_is_passed_over_with_a_word(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_etcd(machine / "bin", "3.4.23")
    cached = pretend_etcd(etcd_binary.cached_path().parent, "3.6.16")
    assert find_or_build() == cached
    assert "etcd 3.4.23 can serve stale reads" in capsys.readouterr().err


def test_without_any_it_is_built_into_the_cache(machine: Path) -> None:
    with pytest.raises(UnfitEtcdError, match=r"would build .*/cache/tercio/etcd-.*/etcd"):
        find_or_build()
