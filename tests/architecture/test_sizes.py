"""Files stay small enough to be read at one go."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

RULE = 400
NEVER = 800

# Files that may be longer than the rule, each with its reason. Prefer to split along the nouns.
LONGER: dict[str, str] = {}


def hand_written() -> dict[str, int]:
    """Return the length in lines of every Python file that somebody wrote and that git knows or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    paths = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {
        path: len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for path in paths
        if (ROOT / path).exists() and not is_generated(path)
    }


def is_generated(path: str) -> bool:
    return (
        path.startswith(("libs/tercio/src/tercio/api/", "services/scaling/src/externalscaler/"))
        or "/records/v1/" in path
    )


def test_no_file_is_longer_than_the_rule() -> None:
    long = {path: lines for path, lines in hand_written().items() if lines > RULE and path not in LONGER}
    assert not long, f"over {RULE} lines, so split along the nouns: {long}"


def test_no_file_is_ever_longer_than_the_limit() -> None:
    long = {path: lines for path, lines in hand_written().items() if lines > NEVER}
    assert not long, f"over {NEVER} lines, for which there is no exception: {long}"


def test_no_exception_outlives_its_file() -> None:
    lengths = hand_written()
    needless = [path for path in LONGER if lengths.get(path, 0) <= RULE]
    assert not needless, f"no longer over {RULE} lines, so take them off the list: {needless}"
