"""The catalogue of promises is true: each is tested, each check was seen to fail, and the documentation says where."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from promises.catalogue import BESIDE, PROMISES, SURVIVED, Mutation, Promise, table

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/promises"
LAUNCHERS = ROOT / "tests/support/launchers"
GUARANTEES = ROOT / "docs/guarantees.md"

_MUTATIONS = (*(one for promise in PROMISES for one in promise.mutations), *BESIDE)
_FAILS = re.compile(r"assert .*\b(broken|violations?|FAILED)\b")
"""An assertion on what a check found, or on the harm itself."""


def _source(test: str) -> str:
    """Return the text of a test, given as file and name, with its decorators."""
    file, _, name = test.partition("::")
    text = (FOLDER / file).read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            first = min(one.lineno for one in (node, *node.decorator_list))
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    raise AssertionError(f"tests/promises has no {test}")


def _launchers() -> set[str]:
    """Return the modules that can be started."""
    return {path.stem for path in LAUNCHERS.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name)
def test_every_promise_has_tests_faults_and_a_mutation(promise: Promise) -> None:
    assert promise.files
    assert promise.faults
    assert promise.mutations
    for file in promise.files:
        assert (FOLDER / file).is_file()


@pytest.mark.parametrize("mutation", _MUTATIONS, ids=lambda mutation: f"{mutation.launcher} in {mutation.test[:11]}")
def test_the_check_is_asserted_to_fail_on_every_mutation(mutation: Mutation) -> None:
    source = _source(mutation.test)
    assert f"support.launchers.{mutation.launcher}" in source
    assert _FAILS.search(source)


def test_every_launcher_is_in_the_catalogue() -> None:
    assert _launchers() == {one.launcher for one in _MUTATIONS} | SURVIVED.keys()


@pytest.mark.parametrize("launcher", SURVIVED)
def test_a_launcher_that_is_a_fault_is_survived(launcher: str) -> None:
    source = _source(SURVIVED[launcher])
    assert f"support.launchers.{launcher}" in source
    assert "demand()" in source


def test_every_test_of_a_promise_is_in_the_catalogue() -> None:
    tested = {file for promise in PROMISES for file in promise.files}
    assert {path.name for path in FOLDER.glob("test_g*.py")} <= tested


def test_the_documentation_has_the_same_promises_and_leads_to_their_tests() -> None:
    text = GUARANTEES.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (G\d+) \|(.*)$", text, re.MULTILINE))
    assert list(rows) == [promise.name for promise in PROMISES]
    for promise in PROMISES:
        missing = [file for file in promise.files if f"../tests/promises/{file}" not in rows[promise.name]]
        assert not missing, f"{promise.name} does not lead to {missing}"
    assert "pytest tests/promises/" in text


def test_the_table_names_every_promise_and_mutation() -> None:
    text = table()
    for promise in PROMISES:
        assert all(one.launcher in text for one in promise.mutations)
