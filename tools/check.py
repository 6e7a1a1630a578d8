"""Runs every check of the repository and says, for each that fails, what fixes it.

Why one tool: with a chain of commands the first failure hides the others. All run; the exit code is 1 if any failed.

    python tools/check.py            verifies
    python tools/check.py --fast     only what takes under five seconds together, for pre-commit
    python tools/check.py --fix      fixes what can be fixed
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One command, and what to do when it fails."""

    name: str
    command: tuple[str, ...]
    fix: str
    fast: bool = False


CHECKS = (
    Check(name="lint", command=("ruff", "check", "--quiet"), fix="make format, then by hand", fast=True),
    Check(name="format", command=("ruff", "format", "--check", "--quiet"), fix="make format", fast=True),
    Check(name="types", command=("mypy",), fix="by hand; the error names the line"),
    Check(
        name="architecture",
        command=("lint-imports", "--no-cache"),
        fix="move the import to the layer where it belongs; CONTRIBUTING.md says which",
        fast=True,
    ),
    Check(
        name="contracts",
        command=("python", "tools/check_protos.py"),
        fix="make format for layout, by hand for the rest",
        fast=True,
    ),
    Check(name="reference pages", command=("python", "tools/generate_docs.py", "--check"), fix="make docs"),
    Check(name="chart's schema", command=("python", "tools/generate_schema.py", "--check"), fix="make schema"),
    Check(name="generated code", command=("python", "tools/generate_protos.py", "--check"), fix="make proto"),
)

FIXES = (
    Check(name="lint", command=("ruff", "check", "--fix-only", "--quiet"), fix="by hand"),
    Check(name="format", command=("ruff", "format", "--quiet"), fix="by hand"),
    Check(name="protos", command=("buf", "format", "--write", "proto"), fix="by hand"),
)


def run(check: Check) -> bool:
    """Run one check; print one line, and everything it said if it failed; return whether it passed."""
    started = time.monotonic()
    finished = subprocess.run(
        _resolved(check.command), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    took_s = time.monotonic() - started
    passed = finished.returncode == 0
    print(f"{'ok' if passed else 'FAILED':<7} {check.name:<15} {took_s:5.1f} s", flush=True)
    if not passed:
        print(f"{finished.stdout.rstrip()}\n        to fix: {check.fix}\n", flush=True)
    return passed


def _resolved(command: tuple[str, ...]) -> list[str]:
    """Return the command with the programs of this environment, whatever PATH says."""
    program, *arguments = command
    if program == "uv":
        return [os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".tools/bin/uv"), *arguments]
    if program == "python":
        return [sys.executable, *arguments]
    return [str(Path(sys.executable).with_name(program)), *arguments]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Run every check of the repository.")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--fix", action="store_true", help="fix what can be fixed")
    kind.add_argument("--fast", action="store_true", help="only what takes seconds")
    options = parser.parse_args(arguments)
    wanted = FIXES if options.fix else [check for check in CHECKS if check.fast or not options.fast]
    failed = [check.name for check in wanted if not run(check)]
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
