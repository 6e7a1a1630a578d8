"""The reasons that the code gives are in the catalogue, and each is documented in the contract."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tercio_common.reasons import REASONS

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = ROOT / "proto/tercio/api/type/v1/error_reason.proto"
TESTS = [
    path
    for path in sorted((ROOT / "tests").rglob("test_*.py"))
    if not path.is_relative_to(Path(__file__).parent)  # what is only written about is not reached
]
_WORD = re.compile(r"[A-Z][A-Z_]{3,}")
SOURCES = sorted(path for folder in ("libs", "services") for path in (ROOT / folder).glob("*/src/**/*.py"))


def refusals(source: str) -> Iterator[tuple[int, str]]:
    """Give line and reason of each `Refusal("REASON", …)`."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal"):
            continue
        given = [*node.args[:1], *(one.value for one in node.keywords if one.arg == "reason")]
        for one in given:
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                yield one.lineno, one.value


def test_the_scan_finds_reasons() -> None:
    assert list(refusals('Refusal("A", "m")\nRefusal(reason="B", message="m")\nOther("C")')) == [(1, "A"), (2, "B")]


def test_every_refusal_gives_a_known_reason() -> None:
    unknown = [
        f"{path.relative_to(ROOT)}:{line}: {reason}"
        for path in SOURCES
        for line, reason in refusals(path.read_text())
        if reason not in REASONS
    ]
    assert unknown == [], "docs/extend/add-a-reason.md says how to add a reason"


def named(source: str) -> set[str]:
    """Return the words in capitals that stand in strings of the code, its docstrings left out."""
    tree = ast.parse(source)
    remarks = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in remarks)
    return {word for text in texts if isinstance(text, str) for word in _WORD.findall(text)}


def test_a_remark_names_no_reason() -> None:
    assert named('"""TOO_BUSY."""\n# TOO_SLOW\nassert reason == "TOO_LATE: later"') == {"TOO_LATE"}


def is_served(source: Path) -> bool:
    """Tell whether anybody can call it: a service without a composition root is still being built."""
    package = source.relative_to(ROOT).parts[:4]
    return package[0] == "libs" or ROOT.joinpath(*package, "app.py").is_file()


def test_every_reason_that_the_code_gives_is_asserted_by_a_test() -> None:
    given = {reason for path in SOURCES if is_served(path) for _, reason in refusals(path.read_text())}
    asserted = {word for path in TESTS for word in named(path.read_text())}
    assert sorted(given - asserted) == [], "write a test that reaches it: docs/extend/add-a-reason.md says how"


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_documented_in_the_contract(reason: str) -> None:
    assert re.search(rf"^  // .+\n  ERROR_REASON_{reason} = \d+;$", CONTRACT.read_text(), re.MULTILINE)
