"""A fixed piece of work that tells how fast the machine is just now.

The speed of a virtual machine drifts by tens of percent within minutes, so every measurement carries the time of this
loop from just before it. The fastest of many tells the machine's speed, hardly touched by what else runs on it.
"""

from __future__ import annotations

import os
import time

_LOOPS = 20
_STEPS = 500_000
_STEPS_A_SYSTEM_CALL = 16


def calibrate() -> float:
    """Return how many milliseconds a loop of plain Python and system calls takes: the fastest of twenty."""
    return min(_loop() for _ in range(_LOOPS))


def _loop() -> float:
    began = time.perf_counter()
    total = 0
    for step in range(_STEPS):
        total += step & 7
        if not step % _STEPS_A_SYSTEM_CALL:
            os.getppid()
    return (time.perf_counter() - began) * 1000
