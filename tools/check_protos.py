"""Checks the contracts: lint, format, and that nothing broke since the newest release.

Why its own tool: `buf breaking` needs something to compare with, and before the first release there is nothing; and buf
fetches what a proto imports from its own registry, while we take google/rpc from the installed package, so that the
check needs no network.

It promises to run every check even if an earlier one fails, and to print the command or the step that fixes each.
It does not compare generated code: `tools/generate_protos.py --check` does.

    python tools/check_protos.py
"""

from __future__ import annotations

import importlib.util
import io
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_RELEASE = re.compile(r"^v(\d+)\.(\d+)\.(\d+)$")
_IMPORTS_GOOGLEAPIS = re.compile(r'^import "google/(?!protobuf/)', re.MULTILINE)
_OWN_MODULE = "  - path: proto\n"
_NOT_OURS = "ignore: [googleapis]"
_GOOGLEAPIS_MODULE = f"  - path: googleapis\n    lint:\n      {_NOT_OURS}\n    breaking:\n      {_NOT_OURS}\n"


def newest_release(tags: list[str]) -> str | None:
    """Return the highest `vX.Y.Z` among the tags; pre-releases do not bind us, so they are not considered."""
    releases = [(tuple(map(int, match.groups())), tag) for tag in tags if (match := _RELEASE.match(tag))]
    return max(releases)[1] if releases else None


def stage(protos: Path, rules: str, folder: Path) -> Path:
    """Copy the protos and what they import into the folder, with the rules to check them by; return the folder."""
    shutil.copytree(protos, folder / "proto", dirs_exist_ok=True)
    if any(_IMPORTS_GOOGLEAPIS.search(path.read_text(encoding="utf-8")) for path in protos.rglob("*.proto")):
        for package in _google_packages():
            wanted = shutil.ignore_patterns("*.py", "*.pyi", "__pycache__")
            shutil.copytree(package, folder / "googleapis/google" / package.name, ignore=wanted)
        rules = rules.replace(_OWN_MODULE, _OWN_MODULE + _GOOGLEAPIS_MODULE)
    (folder / "buf.yaml").write_text(rules, encoding="utf-8")
    return folder


def breaking(now: Path, before: Path) -> int:
    """Compare two staged folders; return 0 if every caller of the earlier contracts still works."""
    failed = _buf("breaking", ".", "--against", str(before), cwd=now)
    if failed:
        print("A released contract broke. Keep the old field or method (deprecate it) and add the new one beside it.")
    return failed


def breaking_since_release(repository: Path, now: Path, rules: str, folder: Path) -> int:
    """Compare the staged folder `now` with the newest release of the repository, using `folder` for temporary files."""
    release = newest_release(_git(repository, "tag", "--list", "v*").decode().split())
    if release is None:
        print("buf breaking: there is no release (tag vX.Y.Z) to compare with yet, so nothing can be broken")
        return 0
    with zipfile.ZipFile(io.BytesIO(_git(repository, "archive", "--format=zip", release, "proto"))) as archive:
        archive.extractall(folder / "released")
    return breaking(now, stage(folder / "released/proto", rules, folder / "staged"))


def _google_packages() -> list[Path]:
    found = (importlib.util.find_spec(f"google.{name}") for name in ("api", "rpc", "type"))
    return [Path(next(iter(spec.submodule_search_locations or ()))) for spec in found if spec]


def _buf(*arguments: str, cwd: Path) -> int:
    beside_python = Path(sys.executable).with_name("buf")
    command = str(beside_python) if beside_python.exists() else "buf"
    return subprocess.run([command, *arguments], cwd=cwd, check=False).returncode


def _git(repository: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=repository, check=True, stdout=subprocess.PIPE).stdout


def main() -> int:
    """Run every check; return the exit code."""
    if not any((ROOT / "proto").rglob("*.proto")):
        print("there are no protos to check yet")
        return 0
    rules = (ROOT / "buf.yaml").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="tercio-buf-") as name:
        now = stage(ROOT / "proto", rules, Path(name) / "now")
        unlinted = _buf("lint", cwd=now)
        unformatted = _buf("format", "--diff", "--exit-code", "proto", cwd=now)
        if unformatted:
            print("The protos are not formatted. Run: make format")
        broken = breaking_since_release(ROOT, now, rules, Path(name) / "before")
    return 1 if unlinted or unformatted or broken else 0


if __name__ == "__main__":
    sys.exit(main())
