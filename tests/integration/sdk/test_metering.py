"""Real processes: what a session uses is its own, with what it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tercio.metering import OWN, ProcessMeter, Reading
from tercio_common.testing.eventually import eventually

_BUSY = (
    "import subprocess, sys; held = bytearray(60_000_000); subprocess.run([sys.executable, '-c', 'while True: pass'])"
)


@pytest.fixture
def session() -> Iterator[int]:
    """A process that holds memory, and its child that only computes."""
    with subprocess.Popen([sys.executable, "-c", _BUSY], start_new_session=True) as process:
        yield process.pid
        os.killpg(process.pid, signal.SIGKILL)


async def test_a_session_is_measured_with_what_it_started(session: int) -> None:
    meter = ProcessMeter()

    def reading() -> Reading:
        return meter.read({OWN, session}).get(session, Reading())

    await eventually(lambda: reading().cpu_ms > 300 and reading().memory_bytes > 60_000_000)
    assert meter.read({OWN})[OWN].memory_bytes > 0


def test_a_session_that_is_gone_is_left_out() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], start_new_session=True) as process:
        process.wait()
    assert ProcessMeter().read({process.pid}) == {}
