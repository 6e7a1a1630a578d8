"""A command of the command line on a terminal of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

_ROWS, _COLUMNS = 40, 400
_PATIENCE_S = 30.0
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"
"""To the alternate screen and back."""


class Terminal:
    """A process, and what it has written to its terminal."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process, self._descriptor = process, descriptor
        self.written = ""

    def wait_for(self, text: str, *, after: int = 0) -> int:
        """Read until the text was written, from that place on; return where it has come to."""
        deadline = time.monotonic() + _PATIENCE_S
        while text not in _CONTROL.sub("", self.written[after:]):
            assert self._read(deadline - time.monotonic()), f"{text!r} was never written, but {self.written[-2000:]!r}"
        return len(self.written)

    def interrupt(self) -> int:
        """Send what Ctrl-C sends, and return the exit code."""
        self._process.send_signal(signal.SIGINT)
        while self._read(_PATIENCE_S):
            pass
        return self._process.wait(_PATIENCE_S)

    def _read(self, patience_s: float) -> bool:
        """Read once; return False when nothing came, or nothing more will."""
        ready, _, _ = select.select([self._descriptor], [], [], max(0.0, patience_s))
        data = b""
        if ready:
            with contextlib.suppress(OSError):  # which is how Linux tells that the other side is closed
                data = os.read(self._descriptor, 65_536)
        self.written += data.decode(errors="replace")
        return bool(data)


def _environment(address: str) -> dict[str, str]:
    """Return ours without what would stand above the size of the terminal."""
    ours = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    return {**ours, "TERCIO_ADDRESS": address, "TERM": "xterm-256color"}


@contextlib.contextmanager
def on_terminal(*arguments: str, address: str) -> Iterator[Terminal]:
    """Run `tercio …` against that fleet; kill it in the end."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "tercio.cli", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=_environment(address),
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
