"""Deadlines: refuses unary calls that have no time left to be done, and tells sub-calls how much they have.

gRPC does not pass deadlines on by itself. A sub-call gets 20 ms less than its caller, so that there is time to report
that it was the sub-call that was late.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from tercio_common.clock import Clock
from tercio_common.errors import Refusal
from tercio_common.rpc.incoming import Incoming

LEAST_MS = 100
"""A commit on a busy disk takes tens of milliseconds: with less than this the answer would be an unknown outcome."""
RESERVE_MS = 20

_ends_boot_ms: ContextVar[int | None] = ContextVar("tercio_deadline_boot_ms", default=None)


class Deadlines:
    """See the module."""

    def __init__(self, clock: Clock) -> None:
        """Count on the boot-time clock."""
        self._clock = clock

    @contextlib.contextmanager
    def around(self, call: Incoming) -> Iterator[None]:
        """Refuse with DEADLINE_TOO_SHORT, or set the deadline of sub-calls."""
        remaining_s = call.context.time_remaining()
        if remaining_s is not None:
            remaining_ms = int(remaining_s * 1000)
            if call.method.unary and remaining_ms < LEAST_MS:
                raise Refusal(
                    "DEADLINE_TOO_SHORT",
                    f"{remaining_ms} ms are left and {LEAST_MS} are needed; nothing was done, allow more time",
                )
            _ends_boot_ms.set(self._clock.boot_ms() + remaining_ms - RESERVE_MS)
        yield


def remaining_ms(clock: Clock) -> int | None:
    """Return how long a sub-call of the current call may take, at least 0; None when the caller set no deadline."""
    ends = _ends_boot_ms.get()
    return None if ends is None else max(0, ends - clock.boot_ms())
