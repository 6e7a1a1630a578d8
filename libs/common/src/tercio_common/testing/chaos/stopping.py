"""Stopping a process in its tracks, so that it has stopped when the call returns."""

from __future__ import annotations

import os
import signal


def stop(pid: int) -> None:
    """Send SIGSTOP to a child and wait until each of its threads stands still: one that runs on could still answer."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
