"""`tercio dev` and `tercio agent exec` as processes of their own, to be killed at will; none outlives its context."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

START_S = 30.0
_ADDRESS = re.compile(r"up at (\S+)")


def eventually(condition: Callable[[], bool], *, within_s: float = START_S) -> None:
    """Wait until the condition holds, which may run an event loop of its own; fail when it never does."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@dataclass
class Processes:
    """Processes that the tests started; none outlives its fixture."""

    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def tercio(self, *arguments: str, log: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "tercio.cli", *arguments],
                stdout=file,
                stderr=file,
                env={
                    **os.environ,
                    "TERCIO_SERVER__HEALTH_PORT": "0",
                    "TERCIO_SERVER__METRICS_PORT": "0",
                    **environment,
                },
            )
        self.started.append(process)
        return process

    def says(self, log: str, words: str) -> bool:
        return words in (self.folder / log).read_text()

    def dev(self, *arguments: str, log: str = "dev.log", **environment: str) -> tuple[subprocess.Popen[bytes], str]:
        """Start a fleet; return its process and its address."""
        (self.folder / log).write_text("")
        process = self.tercio("dev", *arguments, log=log, **environment)
        eventually(lambda: self.says(log, "up at") or process.poll() is not None)
        match = _ADDRESS.search((self.folder / log).read_text())
        assert match, (self.folder / log).read_text()
        return process, match[1]

    def end(self) -> None:
        for process in reversed(self.started):
            process.terminate()
        for process in reversed(self.started):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
