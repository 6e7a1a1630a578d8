"""Clocks: the only way in which Tercio learns the time.

Leases are counted on the boot-time clock, which runs on while the process or the machine is stopped: a paused leader
must find its lease ended when it wakes.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """Time and waiting, in integer milliseconds."""

    def boot_ms(self) -> int:
        """Milliseconds since boot, suspended time included; never goes back."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970; may jump."""
        ...

    async def sleep_ms(self, duration: int) -> None:
        """Wait for that many milliseconds of the boot-time clock."""
        ...


class SystemClock:
    """The machine's own clock."""

    def boot_ms(self) -> int:
        """See `Clock`."""
        return time.clock_gettime_ns(_BOOT_CLOCK) // 1_000_000

    def wall_ms(self) -> int:
        """See `Clock`."""
        return time.time_ns() // 1_000_000

    async def sleep_ms(self, duration: int) -> None:
        """See `Clock`."""
        await asyncio.sleep(duration / 1000)
