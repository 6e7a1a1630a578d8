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
CATALOGUE = ROOT / "libs/common/src/tercio_common/reasons.py"
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


def given(source: str) -> set[str]:
    """Return the reasons that the code may give, however they come into a refusal; what it compares with is not one."""
    tree = ast.parse(source)
    compared = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Compare) for part in ast.walk(node)}
    words = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in compared)
    return {node.value for node in words if isinstance(node.value, str) and node.value in REASONS}


def asserted(source: str) -> set[str]:
    """Return the words in capitals that a test holds something against; those that it only mentions do not count."""
    holding: list[ast.AST] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            holding += node.decorator_list
        elif isinstance(node, ast.Assert | ast.Compare) or is_expecting(node):
            holding.append(node)
    parts = (part.value for node in holding for part in ast.walk(node) if isinstance(part, ast.Constant))
    return {word for text in parts if isinstance(text, str) for word in _WORD.findall(text)}


def is_expecting(node: ast.AST) -> bool:
    """Tell whether it is `pytest.raises(…)` or `pytest.param(…)`."""
    return isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {"raises", "param"}


def test_a_reason_is_found_however_it_is_given() -> None:
    source = '''"""NO_LEADER."""\nSHORT = "DRAINING"\nRefusal("INTERNAL" if x else "NOT_LEADER")\nx == "STALE_EPOCH"'''
    assert given(source) == {"DRAINING", "INTERNAL", "NOT_LEADER"}


def test_a_reason_that_a_test_only_mentions_is_not_asserted() -> None:
    source = (
        '''"""TOO_BUSY."""\nx = "TOO_SLOW"\nassert reason == "TOO_LATE: later"\npytest.raises(E, match="TOO_BAD")'''
    )
    assert asserted(source) == {"TOO_LATE", "TOO_BAD"}


def owner(source: Path) -> str:
    """Return the service to which a source belongs; empty for what all share."""
    parts = source.relative_to(ROOT).parts
    return parts[1] if parts[0] == "services" else ""


def is_served(service: str) -> bool:
    """Tell whether anybody can call it: a service without a composition root is still being built."""
    return not service or ROOT.joinpath("services", service, "src", f"tercio_{service}", "app.py").is_file()


def is_about(service: str, test: Path) -> bool:
    """Tell whether a test is one of that service; every test is one of what all share."""
    source = test.read_text()
    return service in test.parts or any(name in source for name in (f"tercio_{service}", f"tercio.api.{service}."))


@pytest.mark.parametrize("service", sorted({owner(path) for path in SOURCES}), ids=lambda name: name or "shared")
def test_every_reason_that_the_code_gives_is_asserted_by_a_test_of_the_same_service(service: str) -> None:
    if not is_served(service):
        return
    sources = [path for path in SOURCES if owner(path) == service and path != CATALOGUE]
    held = {word for path in TESTS if not service or is_about(service, path) for word in asserted(path.read_text())}
    lacking = {reason for path in sources for reason in given(path.read_text())} - held
    assert sorted(lacking) == [], "write a test that reaches it: docs/extend/add-a-reason.md says how"


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_documented_in_the_contract(reason: str) -> None:
    assert re.search(rf"^  // .+\n  ERROR_REASON_{reason} = \d+;$", CONTRACT.read_text(), re.MULTILINE)
