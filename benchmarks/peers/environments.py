"""Sets a peer up: a virtual environment of its own with pinned packages, and the server that it needs.

Environments are kept in the cache and built anew when their pins change. Redis is the distribution's: it is looked for
at $TERCIO_REDIS_SERVER and on PATH, and else installed with apt-get, but only as root and where no systemd would start
it as a service.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fleet import ROOT
from benchmarks.peers.catalogue import Peer, Server

REQUIREMENTS = Path(__file__).with_name("requirements")
_PINS = "pins.txt"
_HOW_TO_GET_REDIS = "install redis-server (apt-get install redis-server), or set TERCIO_REDIS_SERVER to its path"


class UnavailableError(Exception):
    """A peer cannot be set up on this machine; the message says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What runs a peer's program: the interpreter with its packages, and its server, "" where it needs none."""

    python: Path
    server: str


def cache() -> Path:
    """Return where environments are kept unless somebody says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tercio" / "peers"


def prepare(peer: Peer, folder: Path) -> Environment:
    """Return the peer's environment, which is built at first use.

    Raises:
        UnavailableError: its packages or its server cannot be had.
    """
    # The server first: without it the packages, which may be large, are of no use.
    redis = _redis() if peer.server is Server.REDIS else ""
    place = folder / peer.environment
    pins = (REQUIREMENTS / f"{peer.environment}.txt").read_text(encoding="utf-8")
    if not _is_built(place, pins):
        _build(place, pins)
    return Environment(place / "bin/python", str(place / "bin/nats-server") if peer.server is Server.NATS else redis)


def _is_built(place: Path, pins: str) -> bool:
    # Written last, so an interrupted build has none.
    built = place / _PINS
    return built.exists() and built.read_text(encoding="utf-8") == pins


def _build(place: Path, pins: str) -> None:
    print(f"installing {place.name} into {place}, once", file=sys.stderr)
    uv = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".tools/bin/uv")
    place.mkdir(parents=True, exist_ok=True)
    try:
        # Run there: in this repository uv would apply the pins of the workspace to the peer.
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, "."], cwd=place)
        _run([uv, "pip", "install", "--quiet", "--python", "bin/python", *pins.split()], cwd=place)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnavailableError(f"its packages cannot be installed ({error})") from error
    (place / _PINS).write_text(pins, encoding="utf-8")


def _redis() -> str:
    if chosen := os.environ.get("TERCIO_REDIS_SERVER"):
        if found := shutil.which(chosen):
            return found
        raise UnavailableError(f"TERCIO_REDIS_SERVER is {chosen}, which is no program")
    if not shutil.which("redis-server"):
        _install_redis()
    found = shutil.which("redis-server")
    if found is None:
        raise UnavailableError(f"there is no redis-server: {_HOW_TO_GET_REDIS}")
    return found


def _install_redis() -> None:
    is_own_machine = os.geteuid() == 0 and not Path("/run/systemd/system").exists()
    if not (is_own_machine and shutil.which("apt-get")):
        return
    print("installing redis-server from the distribution, once", file=sys.stderr)
    try:
        _run(["apt-get", "update", "--quiet=2"])
        _run(["apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends", "redis-server"])
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnavailableError(f"apt-get failed ({error}): {_HOW_TO_GET_REDIS}") from error


def _run(command: list[str], *, cwd: Path = ROOT) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, cwd=cwd, env=environment)
