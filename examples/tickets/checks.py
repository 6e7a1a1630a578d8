"""The tickets' own commands, for what no installed tool does by itself.

Usage: python examples/tickets/checks.py links, or imports libs/common/src/tercio_common, or any other function below.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

_LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)")
_HEADING = re.compile(r"^#{1,6} ")
_FENCE = re.compile(r"^\s*(```|~~~)")
_OPTIONAL = ("__main__", ".testing", "tercio.cli")
"""Modules that start something or need an extra."""


def links() -> str:
    """Fail on relative links in Markdown that lead nowhere."""
    found, broken = 0, []
    for page in _files("*.md"):
        for target in _LINK.findall(page.read_text(encoding="utf-8")):
            found += 1
            if not (page.parent / target).exists():
                broken.append(f"{page}: {target}")
    return _verdict(f"{found} relative links", broken)


def headings() -> str:
    """Fail on pages that do not open with a heading of the first level, or that have two."""
    broken = []
    pages = _files("*.md")
    for page in pages:
        levels = [line.partition(" ")[0] for line in _prose(page) if _HEADING.match(line)]
        if not levels or levels[0] != "#" or levels.count("#") > 1:
            broken.append(f"{page}: one heading of the first level belongs at the top")
    return _verdict(f"{len(pages)} pages", broken)


def imports(folder: str) -> str:
    """Fail if a module of the package cannot be imported by itself, or warns."""
    package = Path(folder)
    modules = [
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(package.rglob("*.py"))
    ]
    chosen = [module for module in modules if not any(part in module for part in _OPTIONAL)]
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script, *chosen], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return f"{len(chosen)} modules of {package.name}: all well"


def wheel(project: str) -> str:
    """Build a wheel and fail unless it holds every module of the package, and its marker of types."""
    with tempfile.TemporaryDirectory(prefix="tercio-wheel-") as name:
        build = ["hatchling", "build", "-t", "wheel", "-d", name]
        subprocess.run(build, cwd=project, check=True, stdout=subprocess.DEVNULL)
        (built,) = Path(name).glob("*.whl")
        held = set(zipfile.ZipFile(built).namelist())
        wanted = {str(path).partition("src/")[2] for path in _files(f"{project}/src/*.py", f"{project}/src/*py.typed")}
        broken = [f"{built.name} lacks {path}" for path in sorted(wanted - held)]
        return _verdict(f"{built.name}, {built.stat().st_size // 1024} kB, {len(wanted)} files", broken)


def versions() -> str:
    """Fail unless every distribution has the same version."""
    found = {
        project["name"]: project["version"]
        for path in _files("libs/*/pyproject.toml", "services/*/pyproject.toml")
        for project in [tomllib.loads(path.read_text(encoding="utf-8"))["project"]]
    }
    broken = [f"{name} {version}" for name, version in found.items()] if len(set(found.values())) > 1 else []
    return _verdict(f"{len(found)} distributions at {', '.join(set(found.values()))}", broken)


def notes() -> str:
    """Write notes for a release: what there is, by kind, and the subjects of the newest commits."""
    count: Counter[str] = Counter()
    for path in _files("*.py", "*.proto", "*.md", "*.yaml", "*.toml"):
        count[path.suffix.removeprefix(".")] += len(path.read_bytes().splitlines())
    lines = ", ".join(f"{number} lines of {kind}" for kind, number in count.most_common())
    log = subprocess.run(["git", "log", "--format=- %s", "-20"], check=True, capture_output=True, text=True)
    return f"{lines}\n{log.stdout.rstrip()}"


def _prose(page: Path) -> list[str]:
    """Return a page's lines outside of its code blocks."""
    found, fenced = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        fenced ^= bool(_FENCE.match(line))
        if not fenced:
            found.append(line)
    return found


def _files(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *patterns], check=True, capture_output=True, text=True)
    return [Path(name) for name in listed.stdout.splitlines()]


def _verdict(looked_at: str, broken: list[str]) -> str:
    if broken:
        raise SystemExit("\n".join(broken))
    return f"{looked_at}: all well"


_CHECKS = {check.__name__: check for check in (links, headings, imports, wheel, versions, notes)}

if __name__ == "__main__":
    print(_CHECKS[sys.argv[1]](*sys.argv[2:]))
