"""Fleet time and wall time, as the leader counts them.

Fleet time (`now`) goes on from the journal's last value by the boot-time clock, so the time during which nobody led
is charged to no lease, timeout or retention. Wall time starts at the system's clock, but never before the journal's
last wall time, and is then slewed by at most a tenth of the elapsed time: a system clock that jumps an hour moves no
deadline by an hour at once.
"""

from __future__ import annotations

from tercio_common.clock import Clock

_SLEW_STEP_MS = 100


class FleetTime:
    """The two times of one leadership."""

    def __init__(self, *, clock: Clock, now: int, wall: int) -> None:
        """Go on from the journal's last `now` and `wall`, in milliseconds."""
        self._clock = clock
        boot = clock.boot_ms()
        self._now_offset = now - boot
        self._wall_offset = max(wall, clock.wall_ms()) - boot
        self._slewed_at = boot

    def now(self) -> int:
        """Fleet time in milliseconds."""
        return self._clock.boot_ms() + self._now_offset

    def wall(self) -> int:
        """Slewed wall time in milliseconds since 1970."""
        boot = self._clock.boot_ms()
        elapsed = boot - self._slewed_at
        if elapsed >= _SLEW_STEP_MS:
            error = self._clock.wall_ms() - boot - self._wall_offset
            self._wall_offset += max(-(elapsed // 10), min(elapsed // 10, error))
            self._slewed_at = boot
        return boot + self._wall_offset
