"""Servers and workers of a peer, on free ports of the loopback address.

They stay in the process group of the program that starts them, which the runner kills as a whole.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

_READY_WITHIN_S = 30.0


def start(command: Sequence[str], log: Path, **environment: str) -> None:
    """Start a process in the folder of this file, writing to a log."""
    with log.open("wb") as output:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=Path(__file__).parent,
            env={**os.environ, **environment},
        )


def start_redis(server: str, folder: Path, *, fsync: bool) -> tuple[int, str]:
    """Start a Redis; return its port and version.

    By default it writes no file but snapshots, as it is installed. With `fsync` every write is on the disk before it is
    acknowledged: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/ .
    """
    port = free_port()
    durable = ["--appendonly", "yes", "--appendfsync", "always"] if fsync else []
    command = [server, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), *durable]
    start(command, folder / "redis.log")
    wait_for(port, folder / "redis.log")
    told = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    return port, told.split("v=")[1].split()[0]


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def wait_for(port: int, log: Path) -> None:
    """Return when somebody listens on the port."""
    deadline = time.monotonic() + _READY_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise SystemExit(f"nobody listens on port {port}:\n{log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.05)
