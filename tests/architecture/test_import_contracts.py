"""The import contracts hold, and each is seen to fail when it is violated.

A contract that never failed may be one that cannot: a misspelt module or a folder without `__init__.py` checks nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_SOURCES = {
    "tercio": "libs/tercio/src",
    "tercio_common": "libs/common/src",
    "tercio_conflicts": "services/conflicts/src",
    "tercio_registry": "services/registry/src",
    "tercio_resources": "services/resources/src",
    "tercio_scaling": "services/scaling/src",
    "tercio_scheduler": "services/scheduler/src",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A module with an import that it must not have, and the contract that it breaks."""

    contract: str
    module: str
    line: str
    # A second module, for what is forbidden only by way of another.
    through: tuple[str, str] | None = None


def planted(contract: str, module: str, line: str, *, through: tuple[str, str] | None = None) -> object:
    violation = Violation(contract=contract, module=module, line=line, through=through)
    return pytest.param(violation, id=f"{contract}: {module}: {line}" + (" by way of another" if through else ""))


_PURE = "pure-state"
_VOCABULARY = "pure-vocabulary"

VIOLATIONS = [
    planted("layers", "tercio_registry.planted", "import tercio_scheduler"),
    planted("layers", "tercio_scheduler.planted", "import tercio_registry"),
    planted("layers", "tercio_resources.planted", "import tercio_registry"),
    planted("layers", "tercio_common.planted", "import tercio_registry"),
    planted("layers", "tercio.planted", "import tercio_scheduler"),
    planted("layers", "tercio.planted", "import tercio_common"),
    planted("common-uses-api-and-rpc", "tercio_common.planted", "import tercio"),
    planted("common-uses-api-and-rpc", "tercio_common.planted", "import tercio.another_planted"),
    planted("common-uses-api-and-rpc", "tercio_common.testing.planted", "import tercio"),
    planted(_PURE, "tercio_registry.state.planted", "import asyncio"),
    planted(_PURE, "tercio_registry.state.planted", "import grpc.aio"),
    planted(_PURE, "tercio_registry.state.planted", "from google.protobuf import message"),
    planted(_PURE, "tercio_resources.state.sharing.planted", "import random"),
    planted(_PURE, "tercio_scheduler.state.planted", "import random"),
    planted(_PURE, "tercio_scheduler.state.deeper.planted", "from time import monotonic"),
    planted(_PURE, "tercio_scheduler.coordination.state.planted", "import tercio.api"),
    planted(
        _PURE,
        "tercio_scheduler.state.planted",
        "import tercio_common.planted",
        through=("tercio_common.planted", "import time"),
    ),
    planted(_VOCABULARY, "tercio_common.ids", "import time"),
    planted(_VOCABULARY, "tercio_common.epochs", "import asyncio"),
    planted(_VOCABULARY, "tercio_common.errors", "import grpc"),
    planted(_VOCABULARY, "tercio_common.strategies.planted", "import time"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with a copy of every package, of the contracts, and of the tools that they name."""
    for package, source in _SOURCES.items():
        ignored = shutil.ignore_patterns("__pycache__", "*.pyi")
        shutil.copytree(ROOT / source / package, tmp_path / package, ignore=ignored)
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__", "etcd"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


def lint(folder: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    chosen = [part for contract in contracts for part in ("--contract", contract)]
    # The copies come first, before the packages installed in this environment.
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run([*command, *chosen], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def plant(folder: Path, module: str, line: str) -> None:
    path = folder.joinpath(*module.split(".")).with_suffix(".py")
    if not path.exists() and path.with_suffix("").is_dir():
        path = path.with_suffix("") / "__init__.py"
    for package in reversed(path.relative_to(folder).parents[:-1]):
        (folder / package).mkdir(exist_ok=True)
        (folder / package / "__init__.py").touch()
    with path.open("a") as file:
        file.write(f"\n{line}\n")


def test_every_contract_holds() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    linted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, f"{linted.stdout}\nMove the import to where it belongs; docs in CONTRIBUTING.md"


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_violation_is_seen(copy: Path, violation: Violation) -> None:
    plant(copy, "tercio.another_planted", "")
    for module, line in filter(None, [(violation.module, violation.line), violation.through]):
        plant(copy, module, line)
    linted = lint(copy, violation.contract)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert "1 broken" in linted.stdout
    assert f"{violation.module} -> " in linted.stdout


def test_an_unchanged_copy_passes(copy: Path) -> None:
    linted = lint(copy)
    assert linted.returncode == 0, linted.stdout + linted.stderr
